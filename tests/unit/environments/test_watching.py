"""`status --watch`: redrawn on a terminal, lines elsewhere, whatever the servers do."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tasks.lib.environments import watching
from tasks.lib.errors import TaskError
from tests.orchestrators.world import World
from tests.testbed.commands import until

ROWS, COLUMNS = 12, 60


class Terminal:
    """A terminal of a few lines, which is this process's stdout, and what was drawn on it."""

    def __init__(self) -> None:
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("4H", ROWS, COLUMNS, 0, 0))
        self.file = os.fdopen(self._slave, "w")
        self.text = ""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while part := os.read(self._master, 4096):
            self.text += part.decode()

    @property
    def screens(self) -> list[str]:
        """Each drawing, without the sequences in it."""
        drawn = self.text.split("\x1b[H")[1:]
        return [re.sub(r"\x1b\[\??[0-9]*[A-Za-z]", "", each) for each in drawn]


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def watch(world: World, terminal: Terminal) -> None:
    """Watch on a terminal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(COLUMNS))
        patch.setenv("LINES", str(ROWS))
        patch.setattr(sys, "stdout", terminal.file)
        watching.watch(world.target, False, every=0.05)


@contextmanager
def ctrl_c(condition) -> Iterator[None]:
    """Press Ctrl-C once a condition holds."""

    def press() -> None:
        try:
            until(condition, 20)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def broken() -> None:
    raise TaskError("n1: no answer over SSH")


def test_a_terminal_is_redrawn_and_never_scrolls(world, terminal):
    world.deploy(world.image())
    with ctrl_c(lambda: len(terminal.screens) > 3):
        watch(world, terminal)
    until(lambda: "lock: free" in terminal.text.partition("\x1b[?1049l")[2])
    drawn = terminal.text.partition("\x1b[?1049l")[0]
    assert drawn.startswith("\x1b[?1049h\x1b[H")
    screens = terminal.screens[:-1]
    assert max(each.count("\n") for each in screens) == ROWS - 1
    assert max(len(line) for each in screens for line in each.split("\r\n")) < COLUMNS
    assert all(not each.endswith("\n") for each in screens)
    assert "more lines" in screens[-1].split("\r\n")[-1]
    assert "all is well" in screens[-1]


def test_a_server_that_is_away_for_a_moment_is_said_with_since_when(world, terminal):
    world.deploy(world.image())
    away = []

    def fail_twice() -> None:
        away.append(1)
        if len(away) < 3:
            world.orchestrator.before["nodes"] = fail_twice
        broken()

    def seen() -> bool:
        return len(away) == 3 and "all is well" in "".join(terminal.screens[-1:])

    world.orchestrator.after["nodes"] = lambda: world.orchestrator.before.update(nodes=fail_twice)
    with ctrl_c(seen):
        watch(world, terminal)
    (said, *_) = [each for each in terminal.screens if "no answer since" in each]
    assert re.search(r"no answer since 20\d\d-\S+Z: n1: no answer", said)
    assert "2/2 healthy" in said


def test_a_look_that_gets_no_answer_is_said_while_it_waits(world, terminal, monkeypatch):
    world.deploy(world.image())
    monkeypatch.setattr(watching, "SLOW", 0.05)
    monkeypatch.setattr(watching, "DRAWING", 0.05)
    held = threading.Event()
    world.orchestrator.before["nodes"] = lambda: held.wait(20)

    def seen() -> bool:
        if any("no answer since" in each for each in terminal.screens):
            held.set()
        return held.is_set() and "all is well" in "".join(terminal.screens[-1:])

    with ctrl_c(seen):
        watch(world, terminal)


def counted(world: World, failing: int) -> list[int]:
    """The looks from now on, one of which fails: that of this number."""
    looks = list[int]()

    def count() -> None:
        looks.append(1)
        world.orchestrator.before["nodes"] = count
        if len(looks) == failing:
            broken()

    world.orchestrator.before["nodes"] = count
    return looks


def test_elsewhere_each_change_is_a_line(world, capfd):
    world.deploy(world.image())
    capfd.readouterr()
    looks = counted(world, failing=4)
    with ctrl_c(lambda: len(looks) > 6):
        watching.watch(world.target, False, every=0.02)
    lines = capfd.readouterr().out.splitlines()
    assert [re.sub(r"20\S+Z", "T", line) for line in lines] == [
        "T prod: all is well",
        "T prod: no answer since T: n1: no answer over SSH",
        "T prod: all is well",
    ]


def test_for_machines_each_look_is_a_report(world, capfd):
    world.deploy(world.image())
    capfd.readouterr()
    looks = counted(world, failing=2)
    with ctrl_c(lambda: len(looks) > 3):
        watching.watch(world.target, True, every=0.02)
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [each["report"] for each in found[:3]] == ["status", "error", "status"]
    assert "no answer over SSH" in found[1]["problems"][0]


def test_a_watch_that_is_to_notify_is_refused(inv):
    done = inv("status", "--env=prod", "--watch", "--notify")
    assert done.returncode == 2
    assert done.stderr.startswith("inv: --watch sends no messages - ")
