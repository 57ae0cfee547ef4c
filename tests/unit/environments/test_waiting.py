"""Who waits for the lock of a stack gets it in turn; who dies in the queue blocks no other."""

from __future__ import annotations

import inspect
import json
import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from tasks import namespace
from tasks.lib.environments import waiting
from tasks.lib.environments.connection import Target
from tasks.lib.environments.lock import Locked, Terms
from tasks.lib.errors import ExitCode, TaskError
from tests.orchestrators.memory import MemoryOrchestrator
from tests.testbed.commands import until

# Short ones: a second of a test is a minute of a server.
TERMS = Terms(lease=0.6, renewal=0.1, watch=0.2, poll=0.02)
DEAD = {"by": "ann", "doing": "deploys", "since": "now", "token": "gone"}


def deployer(world, seconds: float = 20) -> Target:
    """A process of its own that waits for the lock: it shares only the cluster."""
    inner = MemoryOrchestrator(world.orchestrator.inner.cluster, world.target.stack)
    return replace(world.target, orchestrator=inner, terms=TERMS, wait=seconds)  # type: ignore[arg-type]


def queue(world) -> list[waiting.Waiter]:
    return waiting._read(world.target.orchestrator.inner.waiting().newest())


class Waiting:
    """A thread that waits for the lock, and holds it until it is let go."""

    def __init__(self, target: Target, name: str, got: list[str]) -> None:
        self.name, self._target, self._got = name, target, got
        self.release, self.failure = threading.Event(), ""
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            with waiting.locked(
                self._target.orchestrator, self.name, self._target.terms, self._target.wait
            ) as lock:
                self._got.append(self.name)
                self.release.wait(20)
                lock.confirm()
        except TaskError as error:
            self.failure = str(error)

    def end(self) -> None:
        self.release.set()
        self.thread.join(20)
        assert not self.thread.is_alive()


def line_up(world, names: str, got: list[str]) -> list[Waiting]:
    """Waiters who came one after the other."""
    made = []
    for number, name in enumerate(names, 1):
        made.append(Waiting(deployer(world), name, got))
        until(lambda number=number: len(queue(world)) == number)
    return made


def test_waiters_get_the_lock_in_the_order_in_which_they_came(world):
    got: list[str] = []
    with waiting.locked(deployer(world).orchestrator, "holds", TERMS):
        waiters = line_up(world, "abcd", got)
        assert got == []
    for number, each in enumerate(waiters, 1):
        until(lambda number=number: len(got) == number)
        each.end()
    assert "".join(got) == "abcd"
    assert [each.failure for each in waiters] == [""] * 4
    assert queue(world) == [] and world.target.holder(expired=True) is None


def test_many_that_come_at_once_all_get_it_one_at_a_time(world):
    got: list[str] = []
    inside: list[int] = []

    def work(number: int) -> None:
        target = deployer(world)
        with waiting.locked(target.orchestrator, str(number), TERMS, 30):
            inside.append(number)
            time.sleep(0.01)
            got.append(f"{number} of {len(inside)}")
            inside.remove(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(40)
    assert sorted(got) == [f"{number} of 1" for number in range(8)]
    assert queue(world) == []


def test_who_does_not_wait_takes_no_turn_of_those_who_do(world):
    chain = world.orchestrator.inner.waiting()
    assert chain.take(None, json.dumps([DEAD]))
    with pytest.raises(Locked, match=r"1 wait for the lock, first ann .* - add --wait=15m"):
        _take(deployer(world, 0))
    # It gave no sign of life: it is dead.
    time.sleep(TERMS.lease)
    with waiting.locked(deployer(world).orchestrator, "deploys", TERMS):
        pass


def _take(target: Target) -> None:
    with waiting.locked(target.orchestrator, "hurries", target.terms, target.wait):
        raise AssertionError("it got the lock")


def test_a_waiter_that_died_blocks_those_behind_it_for_a_moment_only(world):
    got: list[str] = []
    with waiting.locked(deployer(world).orchestrator, "holds", TERMS):
        chain = world.orchestrator.inner.waiting()
        assert chain.take(None, json.dumps([DEAD]))
        waiter = Waiting(deployer(world), "b", got)
        until(lambda: len(queue(world)) == 2)
    began = time.monotonic()
    until(lambda: got == ["b"])
    assert time.monotonic() - began < TERMS.lease + 1
    waiter.end()
    assert queue(world) == []


def test_a_waiter_that_sleeps_is_not_taken_for_dead_too_early(world):
    got: list[str] = []
    with waiting.locked(deployer(world).orchestrator, "holds", TERMS):
        line_up(world, "ab", got)
        time.sleep(2 * TERMS.lease)
        assert [each.doing for each in queue(world)] == ["a", "b"]


def test_when_the_time_is_over_it_says_who_holds_the_lock_and_leaves(world, capfd):
    with (
        waiting.locked(deployer(world).orchestrator, "rolls back", TERMS),
        pytest.raises(Locked, match=r"^waited 0.2 s: locked by \S+, rolls back since 2") as caught,
    ):
        _take(deployer(world, 0.2))
    assert caught.value.code == ExitCode.LOCKED
    assert queue(world) == []
    said = capfd.readouterr().err
    assert re.search(r"waiting, until [\d:]{8} UTC: locked by \S+, rolls back since 2", said)


def test_who_waits_behind_another_learns_of_both_when_the_time_is_over(world):
    got: list[str] = []
    with waiting.locked(deployer(world).orchestrator, "rolls back", TERMS):
        (first,) = line_up(world, "a", got)
        with pytest.raises(
            Locked, match=r"locked by .*, rolls back since .*, behind .*waits since"
        ):
            _take(deployer(world, 0.2))
    first.end()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_whatever_ends_a_wait_leaves_nothing_behind(world, error):
    target = deployer(world)
    found = target.orchestrator.lease

    def interrupted():
        if queue(world):
            raise error
        return found()

    target.orchestrator.lease = interrupted  # type: ignore[method-assign]
    with (
        waiting.locked(deployer(world).orchestrator, "holds", TERMS),
        pytest.raises(error),
    ):
        _take(target)
    assert queue(world) == []
    assert world.target.holder(expired=True) is None


def test_ctrl_c_ends_a_wait(world):
    def press() -> None:
        until(lambda: queue(world))
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=press).start()
    with (
        waiting.locked(deployer(world).orchestrator, "holds", TERMS),
        pytest.raises(KeyboardInterrupt),
    ):
        _take(deployer(world))
    assert queue(world) == []


def test_a_server_that_is_away_for_a_moment_ends_no_wait(world, capfd):
    target, failures = deployer(world), [1, 2, 3]
    found = target.orchestrator.lease

    def away():
        if queue(world) and failures:
            failures.pop()
            raise TaskError("n1: no answer over SSH")
        return found()

    target.orchestrator.lease = away  # type: ignore[method-assign]
    got: list[str] = []
    with waiting.locked(deployer(world).orchestrator, "holds", TERMS):
        waiter = Waiting(target, "a", got)
        until(lambda: not failures)
    until(lambda: got == ["a"])
    waiter.end()
    assert "n1: no answer over SSH" in capfd.readouterr().err


def test_a_queue_that_cannot_be_read_is_begun_anew(world):
    assert world.orchestrator.inner.waiting().take(None, "nonsense")
    got: list[str] = []
    with waiting.locked(deployer(world).orchestrator, "holds", TERMS):
        (waiter,) = line_up(world, "a", got)
    until(lambda: got == ["a"])
    waiter.end()


def test_the_lock_of_a_dead_owner_is_taken_over_by_the_first(world):
    world.take_lock()
    got: list[str] = []
    waiter = Waiting(deployer(world), "a", got)
    until(lambda: got == ["a"])
    waiter.end()


@pytest.mark.parametrize(
    ("text", "seconds"), [("15m", 900), ("1h30m", 5400), ("90s", 90), ("90", 90), ("", 0)]
)
def test_a_time_has_units(text, seconds):
    assert waiting.duration(text) == seconds


@pytest.mark.parametrize("text", ["soon", "-1m", "1d", "15 m"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(TaskError, match="is no time - use 15m") as caught:
        waiting.duration(text)
    assert caught.value.code == ExitCode.REFUSED


def test_a_wrong_time_is_refused_before_anything_is_reached(inv):
    done = inv("deploy", "--env=prod", "--wait=soon")
    assert done.returncode == 2
    assert done.stderr == "inv: --wait=soon is no time - use 15m, 1h30m or 90s\n"


def takes_lock(task: Callable[..., object]) -> bool:
    source = inspect.getsource(task)
    return bool(re.search(r"\.locked\(|turn\.to_|one_off\.manage|monitoring\.up", source))


def test_every_task_that_takes_the_lock_can_wait_for_it():
    locking = {
        name
        for name in namespace.task_names
        if takes_lock(namespace[name].body) and not name.startswith(("lab.", "rehearse"))
    }
    assert len(locking) >= 13
    for name in namespace.task_names:
        options = {each.name for each in namespace[name].get_arguments()}
        assert ("wait" in options) == (name in locking), name
