"""docs/faults.md: what the tests saw of each fault and attack, when FAULTS names that file.

FAULTS=docs/faults.md ./inv test --path tests/lab --slow
"""

from __future__ import annotations

import getpass
import re
import socket
from pathlib import Path

from tests.testbed.k6 import Referee
from tests.testbed.runs import Run

COLUMNS = (
    *("Fault", "Exit status, and what is said", "Serves then", "Seconds", "On one Docker host"),
    "On a cluster",
)
HEAD = f"""\
# What goes wrong, and what you see then

Written by the tests in `tests/lab`, which do all of this to a real Swarm, or to one Docker host:
`FAULTS=docs/faults.md ./inv test --path tests/lab --slow`; and to a cluster of Kubernetes:
`FAULTS=docs/faults.md .inv/venv/bin/python -m pytest -p no:django -m cluster tests/lab`. After
each of them nobody has the lock, or it ends by itself within a minute where it could not be left;
and the next deploy works. A "-" stands for what no test has done there.

| {" | ".join(COLUMNS)} |
|{" --- |" * len(COLUMNS)}
"""
ATTACKS = """
## What a client tries, and what others see of it

Each attack lasts some seconds, while k6 loads the site as other people do. No
replica was replaced for it.

| Attack | Requests of others that failed | 99th percentile of the others, against that without it |
| --- | --- | --- |
"""
# What differs from run to run and from machine to machine, and what stands for it.
VARIES = {
    r"\b(sha256:)?[0-9a-f]{12,}\b": "...",
    r"\b[0-9a-z]{25}\b": "...",
    r"\[?127\.0\.0\.1\]?:\d+": "HOST",
    r"port \d+ on 127\.0\.0\.1": "port 22 on HOST",
    r"\b10(\.\d+){3}\b": "HOST",
    r"\bapp-[0-9a-z]{8,10}-[0-9a-z]{5}\b": "app-...",
    r"SHA256:[\w+/]+": "SHA256:...",
    r"localhost:\d+": "localhost:PORT",
    r"\d{4}-\d\d-\d\dT[\d:]+\+00:00": "TIME",
    r"\d{8}T\d{6}Z": "TIME",
    r"--number=\d+": "--number=N",
    re.escape(f"{getpass.getuser()}@{socket.gethostname()}"): "USER@MACHINE",
}
# What was seen of each fault: the cells of its row, by their number.
_seen: dict[str, dict[int, str]] = {}
_attacks: dict[str, str] = {}


def plain(said: str) -> str:
    """A text without what varies."""
    for pattern, name in VARIES.items():
        said = re.sub(pattern, name, said)
    return said


def served(commit: str, good: str) -> str:
    """What serves, in the table's words."""
    return {"nothing": "nothing, as before", good: "the version before"}.get(
        commit, "the new version"
    )


def record(fault: str, run: Run, serves: str, column: int = 1) -> None:
    """Keep what was seen for the table: in three columns, or in one for another orchestrator."""
    signs = ("inv: ", "warning: ", "release ")
    lines = (line for sign in signs for _, line in run.lines if line.startswith(sign))
    said = next(lines, run.lines[-1][1])
    said = plain(said).replace("|", "\\|")
    told, took = f"{run.status}: `{said}`", f"{run.seconds:.0f}"
    whole = {column: f"{told}; {serves}; {took} s"}
    cells = {1: told, 2: serves, 3: took} if column == 1 else whole
    _seen.setdefault(fault, {}).update(cells)


def record_attack(name: str, usual: Referee, attacked: Referee) -> None:
    """Keep a row for the table of attacks."""
    failed = f"{attacked.failed} of {attacked.total}"
    _attacks[name] = f"| {name} | {failed} | {attacked.p99 / usual.p99:.1f} x |"


def forget(fault: str) -> None:
    """A test that fails after all has no row of its own."""
    _seen.pop(fault, None)


def write(file: Path) -> None:
    """Write the tables; rows of what was not tried this time stay."""
    page = file.read_text() if file.is_file() else ""
    known = rows(page, HEAD)
    seen = {
        fault: with_cells(known.get(fault, f"| {fault} |"), each) for fault, each in _seen.items()
    }
    tables = (HEAD, known | seen), (ATTACKS, rows(page, ATTACKS) | _attacks)
    file.write_text(
        "".join(head + "".join(f"{line}\n" for line in each.values()) for head, each in tables)
    )


def with_cells(line: str, seen: dict[int, str]) -> str:
    """A row of faults with other cells; "-" stands for what no test has seen."""
    known = dict(enumerate(line.removeprefix("| ").removesuffix(" |").split(" | ")))
    return f"| {' | '.join((known | seen).get(number, '-') for number in range(len(COLUMNS)))} |"


def rows(page: str, head: str) -> dict[str, str]:
    """The rows of one of the page's tables, by what stands first in them."""
    header = head.splitlines()[-2]
    lines = page.partition(f"{header}\n")[2].partition("\n\n")[0].splitlines()[1:]
    return {line.split(" | ")[0].removeprefix("| "): plain(line) for line in lines}
