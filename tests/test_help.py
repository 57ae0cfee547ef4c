"""Every task says in one line what it does, and shows an example."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tasks import namespace

ROOT = Path(__file__).resolve().parents[1]

NAMES = sorted(namespace.task_names)
# Read before any test parses a command line: Invoke takes the help texts out of a task then.
ARGUMENTS = {name: namespace[name].get_arguments() for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_task_has_one_line_of_help_and_an_example(name):
    lines = (namespace[name].__doc__ or "").strip().splitlines()
    assert len(lines[0]) <= 64
    assert any(line.strip().startswith("Example: inv") for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_explained(name):
    assert [each.name for each in ARGUMENTS[name] if not each.help] == []


def test_list_and_help_print_them(inv):
    listed = inv("--list").stdout
    assert all(f"  {name} " in listed for name in NAMES)
    assert "Example: inv dev --port 8001" in inv("--help", "dev").stdout


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_that_is_asked_for_in_place_of_a_command_runs_none(inv, option):
    asked = inv("manage", option)
    assert asked.returncode == 2
    hint = "./inv --help manage, or ./inv manage help"
    assert asked.stderr == f"inv: {option} is no command of manage.py - {hint}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(inv, shell):
    assert re.search(r"\./inv [^\n]*--complete", inv("completion", "--shell", shell).stdout)


def test_bash_completes_a_task():
    script = 'eval "$(./inv completion)"; COMP_WORDS=(./inv doc); _complete_inv ./inv doc; '
    done = subprocess.run(
        ["bash", "-c", script + 'echo "${COMPREPLY[*]}"'], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "doctor"


def test_completion_offers_the_tasks(inv):
    assert set(NAMES) <= set(inv("--complete", "--", "inv", "").stdout.split())


DIALECT = re.compile(
    r"\b(tell|tells|told|mend|mends|mended|whoever|nobody|somebody)\b|not well|\bis there\b", re.I
)


def texts() -> list[tuple[str, str]]:
    """Every text in tasks/ that a user may read: all strings, docstrings too."""
    files = sorted((ROOT / "tasks").rglob("*.py"))
    return [
        (f"{file.name}:{node.lineno}", node.value)
        for file in files
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def test_texts_use_the_words_of_the_tools_manuals():
    assert [where for where, text in texts() if DIALECT.search(text)] == []
