"""Waiting ends as soon as its condition is true, and never later than its deadline allows."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tasks.lib.process import lines, wait_until


def shell(script: str) -> subprocess.Popen[bytes]:
    """A shell whose output is read."""
    return subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)


def test_lines_of_children_come_as_they_are_printed():
    slow, quick = shell("echo first; sleep 0.3; echo last"), shell("sleep 0.1; echo between")
    assert [*lines([slow, quick])] == ["first", "between", "last"]


def test_the_highest_status_is_returned():
    found = lines([shell("echo a; exit 3"), shell("exit 1")])
    with pytest.raises(StopIteration) as end:
        while True:
            next(found)
    assert end.value.value == 3


def test_children_end_when_no_more_lines_are_wanted():
    child = shell("while true; do echo more; sleep 0.01; done")
    found = lines([child])
    assert next(found) == "more"
    found.close()
    assert child.poll() is not None


def test_what_is_no_text_is_shown_all_the_same():
    assert [*lines([shell(r"printf 'a\377b\r\n'")])] == ["a\ufffdb"]


def test_what_erases_a_line_of_a_terminal_is_no_part_of_a_line():
    assert [*lines([shell(r"printf '\033[2Kapp-1  | a\n'")])] == ["app-1  | a"]


# Ctrl-C is a signal to the process, which the kernel may give to any of its threads.
ELSEWHERE = """
import signal, subprocess, threading, time
from tasks.lib import process
def get():
    time.sleep(0.3)
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
threading.Thread(target=get).start()
child = subprocess.Popen(["sleep", "60"], stdout=subprocess.PIPE)
try:
    {}
except KeyboardInterrupt:
    pass
child.kill()
print("ended")
"""


@pytest.mark.parametrize(
    "waits", ["process.until_interrupted()", "process.wait(child)", "[*process.lines([child])]"]
)
def test_ctrl_c_that_another_thread_gets_is_noticed(waits):
    command = [sys.executable, "-c", ELSEWHERE.format(waits)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "ended\n"


def test_waiting_returns_the_first_true_value():
    values = iter([0, "", "ready", "later"])
    assert wait_until(lambda: next(values), 10, poll=0) == "ready"


def test_waiting_raises_after_the_deadline():
    with pytest.raises(TimeoutError, match="timed out after"):
        wait_until(lambda: None, 0.02, poll=0.01)


def test_a_condition_is_checked_once_even_without_time():
    assert wait_until(lambda: True, 0)
    with pytest.raises(TimeoutError):
        wait_until(lambda: False, 0)
