"""A deploy or rollback that waited for the lock looks again, and an older commit never wins."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tasks.lib.environments.lock import Terms
from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.images import promotion
from tasks.lib.images.promotion import Candidate
from tests.orchestrators.memory import Image, MemoryOrchestrator
from tests.orchestrators.world import Faulty, World, push
from tests.testbed.commands import until

OLD, NEW = "2026-01-01T12:00:00+02:00", "2026-01-01T11:00:00Z"


def image(world: World, revision: str, created: str) -> Candidate:
    """An image of a commit of a time."""
    registry = world.target.registry
    labels = {"created": created} if created else {}
    manifest = push(registry, revision * 40, **labels)
    world.orchestrator.inner.cluster.images[str(registry.image.at(manifest.digest))] = Image(
        revision * 40
    )
    promotion.mark_tested(registry, manifest.digest)
    return Candidate(manifest, revision * 40)


@contextmanager
def meanwhile(world: World, work: Callable[[World], object]) -> Iterator[None]:
    """Another one has the lock and does something, until this one waits for it."""
    other = copy.copy(world)
    inner = MemoryOrchestrator(world.orchestrator.inner.cluster, world.target.stack)
    other.orchestrator = Faulty(inner)
    other.target = replace(world.target, orchestrator=other.orchestrator)  # type: ignore[arg-type]
    world.target.wait, world.target.terms = 20, Terms(poll=0.01)
    other.orchestrator.before["rollout"] = lambda: until(lambda: inner.waiting().newest())
    thread = threading.Thread(target=work, args=(other,))
    thread.start()
    until(world.target.holder)
    yield
    thread.join(20)


def test_a_newer_commit_that_waits_is_deployed_after_the_older_one(world, capfd):
    old, new = image(world, "a", OLD), image(world, "b", NEW)
    with meanwhile(world, lambda other: other.deploy(old)):
        world.deploy(new)
    assert world.serves() == new.revision
    assert [each.revision[0] for each in world.records()] == ["b", "a"]
    assert "checking all once more" in capfd.readouterr().err


def test_an_older_commit_that_waits_never_wins_by_coming_late(world):
    old, new = image(world, "a", OLD), image(world, "b", NEW)
    with (
        meanwhile(world, lambda other: other.deploy(new)),
        pytest.raises(TaskError, match=r"is older than \S+ \(b+\), which was") as caught,
    ):
        world.deploy(old)
    assert caught.value.code == ExitCode.REFUSED
    assert world.serves() == new.revision
    assert world.target.registry.digest("prod") == new.digest


def test_an_older_commit_wins_with_a_reason_or_if_nobody_was_before_it(world):
    old, new = image(world, "a", OLD), image(world, "b", NEW)
    with meanwhile(world, lambda other: other.deploy(new)):
        world.deploy(old, force="back")
    assert world.serves() == old.revision
    world.deploy(new)
    world.deploy(old)
    assert world.serves() == old.revision


@pytest.mark.parametrize("created", ["", "yesterday"])
def test_a_commit_whose_age_is_unknown_is_deployed(world, created):
    unknown, new = image(world, "a", created), image(world, "b", NEW)
    with meanwhile(world, lambda other: other.deploy(new)):
        world.deploy(unknown)
    assert world.serves() == unknown.revision


def test_what_was_prepared_before_the_wait_is_prepared_again(world):
    world.deploy(image(world, "a", OLD))
    new, prepared = image(world, "b", NEW), []
    world._render, render = lambda *of: [prepared.append(1), render(*of)][1], world._render
    other = image(world, "c", OLD)
    with meanwhile(world, lambda there: there.deploy(other)):
        world.deploy(new)
    # Once by the other one, and twice by this one.
    assert len(prepared) == 3


def test_a_rollback_that_waited_wants_a_number_if_something_was_deployed_meanwhile(world):
    for revision in "ab":
        world.deploy(image(world, revision, OLD))
    new = image(world, "c", NEW)
    with (
        meanwhile(world, lambda other: other.deploy(new)),
        pytest.raises(TaskError, match=r"release 3 of .* was deployed while this waited") as caught,
    ):
        world.rollback()
    assert caught.value.code == ExitCode.REFUSED
    assert world.serves() == new.revision
    newer = image(world, "d", NEW)
    with meanwhile(world, lambda other: other.deploy(newer)):
        world.rollback(to="2")
    assert world.serves() == "b" * 40


def test_a_rollback_goes_on_after_a_failed_deploy(world):
    first, second = image(world, "a", OLD), image(world, "b", NEW)
    world.deploy(first)
    world.deploy(second)
    broken = world.image(exits=True)
    with meanwhile(world, lambda other: _fails(other, broken)):
        world.rollback()
    assert world.serves() == first.revision


def _fails(world: World, broken: Candidate) -> None:
    with pytest.raises(TaskError):
        world.deploy(broken)
