"""What README, CONTRIBUTING and the pages of docs say of the tasks is so."""

from __future__ import annotations

import re
import shlex
from itertools import dropwhile
from pathlib import Path

import pytest
from invoke.exceptions import ParseError
from invoke.parser import Parser
from invoke.program import Program

from tasks import namespace

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CONTRIBUTING.md")
# The pages that somebody types from; docs/faults.md has what the tests printed.
TYPED = sorted(
    {*PAGES, *(str(each.relative_to(ROOT)) for each in (ROOT / "docs").rglob("*.md"))}
    - {"docs/faults.md"}
)
ROW = re.compile(r"^\| `([a-z.]+)` +\|", re.MULTILINE)
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
# What ends a command, or leads its output elsewhere.
ENDS = re.compile(r"[;|&<>]+")


def blocks(text: str) -> list[str]:
    """The blocks of a page for a shell."""
    return [block for kind, block in BLOCK.findall(text) if kind in {"sh", "console"}]


def spans(text: str) -> list[str]:
    """What a page has as code within its text."""
    return re.findall(r"`([^`]+)`", BLOCK.sub("", text))


def calls(line: str) -> list[str]:
    """What a line lets `./inv` do: its arguments, without a shell's pipes and variables."""
    found: list[list[str]] = [[]]
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    for word in words:
        if ENDS.fullmatch(word):
            found.append([])
        else:
            found[-1].append(word)
    named = [[*dropwhile(lambda word: re.match("[A-Z_]+=", word), each)] for each in found]
    return [shlex.join(each[1:]) for each in named if each[:1] == ["./inv"]]


def commands(text: str) -> list[str]:
    """What a page lets `./inv` do, in blocks for a shell and within its text."""
    lines = ["\n".join(blocks(text)).replace("\\\n", ""), *spans(text)]
    found = (line for each in lines for line in each.splitlines() if "./inv " in line)
    return [call for line in found for call in calls(line) if call]


QUOTED = sorted({line for page in TYPED for line in commands((ROOT / page).read_text("utf-8"))})
# A page that somebody types from in a hurry.
HURRY = "docs/data.md"


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


@pytest.mark.parametrize("page", TYPED)
def test_a_command_is_copied_without_a_line_break(page):
    found = spans((ROOT / page).read_text("utf-8"))
    assert [each for each in found if "\n" in each and re.match(r"\S*inv\s", each)] == []


def test_commands_are_found_beside_others_on_a_line():
    text = (
        "```sh\n  A=1 ./inv dev --port=1  # here\nx | ./inv psql \\\n--env=a >f; ./inv down\n```\n"
    )
    assert commands(text + "`./inv logs --grep='a|b'`") == [
        "dev --port=1",
        "psql --env=a",
        "down",
        "logs '--grep=a|b'",
    ]


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
