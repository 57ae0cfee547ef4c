"""What README and CONTRIBUTING say of the tasks is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from invoke.exceptions import ParseError
from invoke.parser import Parser
from invoke.program import Program

from tasks import namespace

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CONTRIBUTING.md")
ROW = re.compile(r"^\| `([a-z.]+)` +\|", re.MULTILINE)


def commands(text: str) -> list[str]:
    """What a page lets `./inv` do, in shell blocks and within a line of text."""
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = [*"\n".join(blocks).splitlines(), *re.findall(r"`([^`\n]+)`", prose)]
    found = (re.match(r"(?:[A-Z_]+=\S+ )*\./inv (.+)", line) for line in lines)
    return [match.group(1) for match in found if match]


# A page that somebody types from in a hurry.
HURRY = "docs/data.md"
QUOTED = sorted(
    {line for page in (*PAGES, HURRY) for line in commands((ROOT / page).read_text("utf-8"))}
)


def parse(line: str) -> None:
    """Parse a command as Invoke does. Raises ParseError for an unknown task or option."""
    program = Program(namespace=namespace)
    words = shlex.split(line, comments=True)
    core = Parser(initial=program.initial_context, ignore_unknown=True).parse_argv(words)
    Parser(contexts=namespace.to_contexts(), initial=None).parse_argv(core.unparsed)


def test_the_table_of_tasks_is_the_list_of_tasks():
    assert sorted(namespace.task_names) == sorted(ROW.findall((ROOT / "README.md").read_text()))


def test_commands_are_found_in_the_pages():
    assert {"dev", "test", "--list"} <= set(QUOTED)


def test_a_restore_is_five_lines_at_the_top_of_its_page():
    text = (ROOT / HURRY).read_text("utf-8")
    (block, *_) = re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert [line.split()[1] for line in block.splitlines()] == [
        "status",
        "backup.list",
        "restore",
        "status",
        "restore",
    ]
    assert text.index(block) < 300


@pytest.mark.parametrize("line", QUOTED)
def test_a_quoted_command_names_a_task_and_options_that_exist(line):
    parse(line)


@pytest.mark.parametrize("line", ["deev", "dev --prot 8001", "--list test nothing"])
def test_a_command_that_does_not_exist_is_noticed(line):
    with pytest.raises(ParseError):
        parse(line)


@pytest.mark.parametrize("page", PAGES)
def test_a_link_to_a_file_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)\)", (ROOT / page).read_text("utf-8"))
    assert [each for each in links if "://" not in each and not (ROOT / each).exists()] == []


def test_a_test_that_is_named_exists():
    text = (ROOT / "README.md").read_text("utf-8")
    named = re.findall(r"\[`(test_\w+)`\]\(([^)]+)\)", text)
    assert named
    for name, file in named:
        assert f"def {name}(" in (ROOT / file).read_text("utf-8")
