"""Each alert says what is wrong and what to do, has its section for on-call, and is fired."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.testbed.commands import ROOT

FOLDER = ROOT / "compose/monitoring"
RULES = [
    rule
    for group in yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
VERB = re.compile(r"inv ([a-z]+(?:\.[a-z]+)?)\b")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule):
    notes, page = rule["annotations"], (ROOT / "docs/oncall.md").read_text()
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert notes["summary"] and notes["action"]
    assert notes["runbook"] == f"docs/oncall.md#{rule['alert'].lower()}"
    assert f"\n## {rule['alert']}\n" in page


def test_every_section_is_of_an_alert_and_every_alert_is_fired():
    names = [rule["alert"] for rule in RULES]
    assert re.findall(r"^## (\w+)$", (ROOT / "docs/oncall.md").read_text(), re.M) == names
    tests = (FOLDER / "rules.test.yml").read_text()
    fired = re.findall(r'alertname="(\w+)"[^|\n]*(?:value: 1|alertstate="firing", inst)', tests)
    assert {*fired} == {*names}


def test_the_verbs_that_on_call_is_told_of_are_there(inv):
    listed = re.findall(r"^  ([a-z.]+)(?: \(([a-z]+)\))?", inv("--list").stdout, re.M)
    known = {name for names in listed for name in names}
    texts = [(ROOT / "docs/oncall.md").read_text(), *(str(rule["annotations"]) for rule in RULES)]
    used = {verb for text in texts for verb in VERB.findall(text)}
    assert {"status", "rollback"} <= used <= known
