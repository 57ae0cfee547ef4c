"""The JSON schema of invoke.yaml is made from the types, and says the same."""

from __future__ import annotations

import copy
import importlib.util
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from tasks.lib.project.settings import INVOKE, Settings
from tests.testbed.commands import ROOT

spec = importlib.util.spec_from_file_location("schema", ROOT / "docs/schema.py")
assert spec and spec.loader
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
KNOWN = yaml.safe_load((ROOT / "invoke.yaml").read_text("utf-8"))
CHECK = jsonschema.Draft202012Validator(module.schema())


def refused(known: dict[str, Any]) -> tuple[bool, bool]:
    """Whether the schema refuses it, and whether the tasks do."""
    own = {key: value for key, value in known.items() if key not in INVOKE}
    try:
        msgspec.convert(own, Settings)
    except msgspec.ValidationError:
        return not CHECK.is_valid(known), True
    return not CHECK.is_valid(known), False


@pytest.mark.parametrize("name", module.FILES)
def test_the_file_is_up_to_date(name):
    written = (ROOT / name).read_text("utf-8")
    assert written == module.text(name), "run: .inv/venv/bin/python docs/schema.py"


def test_the_schema_is_one_and_invoke_yaml_is_valid_and_names_it():
    jsonschema.Draft202012Validator.check_schema(module.schema())
    assert [error.message for error in CHECK.iter_errors(KNOWN)] == []
    first = (ROOT / "invoke.yaml").read_text("utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=docs/invoke.schema.json"


WRONG = [
    ("app", "packages", []),
    ("app", "packages", ["../elsewhere"]),
    ("app", "application", "shop.wsgi"),
    ("app", "server", "apache"),
    ("app", "python", 3.13),
    ("app", "probes", {"live": "livez"}),
    ("app", "pakages", ["shop"]),
    ("project", "name", "Shop"),
    ("environments", "a_b", {}),
    ("test", "floor", 101),
]


@pytest.mark.parametrize(("section", "key", "value"), WRONG)
def test_the_schema_and_the_tasks_refuse_the_same(section, key, value):
    known = copy.deepcopy(KNOWN)
    known[section][key] = value
    assert refused(known) == (True, True)


@pytest.mark.parametrize("key", ["folder", "celery", "probes", "static", "level", "python"])
def test_what_has_a_default_may_be_left_out(key):
    known = copy.deepcopy(KNOWN)
    known["app"].pop(key, None)
    assert refused(known) == (False, False)


def test_every_default_may_be_written_out():
    known = {key: value for key, value in copy.deepcopy(KNOWN).items() if key not in INVOKE}
    needed = ("packages", "settings", "application")
    known["app"] = {key: known["app"][key] for key in needed}
    settings = msgspec.convert(known, Settings)
    written = msgspec.to_builtins(settings)
    assert (written["app"]["celery"], written["app"]["probes"]["live"]) == ("", "")
    assert msgspec.convert(written, Settings) == settings
