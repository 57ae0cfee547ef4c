"""Each alert says what is wrong and what to do, has its section for on-call, and is fired."""

from __future__ import annotations

import inspect
import re
import shlex
from textwrap import dedent
from typing import Any

import pytest
import yaml
from invoke.exceptions import ParseError

from tasks import namespace
from tests.test_readme import blocks, calls, parse, spans
from tests.testbed.commands import ROOT

FOLDER = ROOT / "compose/monitoring"
RULES = [
    rule
    for group in yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
]


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


PAGE = (ROOT / "docs/oncall.md").read_text("utf-8")
BLOCKS = [dedent(block) for block in blocks(PAGE)]
CALLS = sorted({call for block in BLOCKS for call in calls(block)})


def on_call_is_told(call: str) -> None:
    """See that a call names a task and its options, and the environment if it takes one."""
    parse(call)
    name = shlex.split(call)[0]
    # Another test may have parsed it: Invoke takes names away then, but for those of the function.
    takes = "env" in inspect.signature(namespace[name].body).parameters
    assert not takes or " --env=" in call, call


def in_an_alert(rule: dict[str, Any]) -> list[str]:
    """The calls of what an alert says to do, as it is sent: a command may follow a few words."""
    labels = {"environment": "prod", "service": "app"}
    action = re.sub(r"{{ \$labels\.(\w+) }}", lambda name: labels[name[1]], action_of(rule))
    parts = [part.partition("./inv ") for part in action.split("; ")]
    assert "{{" not in action
    assert all(not words or words.endswith(": ") for words, found, _ in parts if found), action
    return [call for _, found, call in parts if found]


def action_of(rule: dict[str, Any]) -> str:
    return str(rule["annotations"]["action"])


@pytest.mark.parametrize("call", CALLS)
def test_a_command_of_the_page_can_be_copied(call):
    on_call_is_told(call)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_command_of_an_alert_can_be_copied(rule):
    found = in_an_alert(rule)
    assert found and "\n" not in action_of(rule)
    for call in found:
        on_call_is_told(call)
    # Of servers, no series has the label.
    about_servers = rule["alert"] in {"NodeGone", "DiskFull", "ServerMemoryKill", "AlertsNotSent"}
    assert ("$labels.environment" in action_of(rule)) != about_servers


@pytest.mark.parametrize(
    "call",
    [
        "rollback",
        "deploy --env=prod --ploy",
        "roll --env=prod",
        "logs --service=app",
        "manage --env=prod",
    ],
)
def test_a_command_that_would_be_refused_is_noticed(call):
    with pytest.raises((ParseError, AssertionError)):
        on_call_is_told(call)


def test_each_block_of_the_page_is_one_command_and_no_command_hides_in_the_text():
    assert {"status --env=prod", "rollback --env=prod", "deploy --env=prod"} <= {*CALLS}
    assert [block for block in BLOCKS if len(block.splitlines()) != 1] == []
    # The text may name a task; what has options is for copying.
    assert [each for each in spans(PAGE) if re.search(r"\binv\b.* -", each, re.DOTALL)] == []


def test_the_page_leads_to_sections_that_are_there():
    heads = {"oncall.md": PAGE}
    for file, anchor in re.findall(r"\]\(([\w.]*)#([\w-]+)\)", PAGE):
        text = heads.setdefault(
            file or "oncall.md", (ROOT / "docs" / (file or "oncall.md")).read_text()
        )
        known = {each.lower().replace(" ", "-") for each in re.findall(r"^#+ (.+)$", text, re.M)}
        assert anchor in known


def test_what_the_actions_ask_of_is_a_service_that_the_page_knows():
    named = {
        found for rule in RULES for found in re.findall(r"--service=([a-z]+)", action_of(rule))
    }
    assert named == {"proxy", "worker", "beat", "redis", "rabbitmq", "backup", "db"}
    assert named <= {*re.findall(r"--service=([a-z]+)", PAGE)}
