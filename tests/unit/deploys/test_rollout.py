"""A rollout is watched: its time, its soak, its end."""

from __future__ import annotations

import pytest

from tasks.lib.deploys import rollout
from tasks.lib.errors import TaskError
from tasks.lib.orchestrators.status import Failure, Progress


class Looks:
    """A rollout that shows some states one after another, the last one for ever."""

    def __init__(self, *states: Progress | None) -> None:
        self.states = list(states)

    def progress(self) -> list[Progress] | None:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return None if state is None else [state]

    def stuck(self) -> Failure | None:
        return Failure("starting")


class Free:
    """A lock that is never lost."""

    def check(self) -> None:
        """It holds."""


def watch(*states: Progress | None, timeout: float = 1, soak: float = 0) -> None:
    rollout.watch(Looks(*states), timeout, soak, Free(), 0.001)


DONE, STARTING = Progress("app", 2, 2), Progress("app", 2, 1, 1)


def test_it_ends_when_all_is_healthy():
    watch(STARTING, None, DONE)


def test_it_ends_only_when_all_stayed_healthy_for_the_soak():
    with pytest.raises(rollout.RolloutError, match="app: died"):
        watch(DONE, Progress("app", 2, 1, failed=Failure("died")), soak=0.05)


def test_it_ends_only_when_the_old_ones_have_left_however_long_they_take():
    leaving = Progress("app", 2, 2, leaving=1)
    watch(leaving, *[None] * 100, DONE, timeout=0.05)
    with pytest.raises(rollout.RolloutError, match="app: died"):
        watch(leaving, Progress("app", 2, 1, failed=Failure("died")))


def test_what_the_orchestrator_gives_up_has_failed():
    with pytest.raises(rollout.RolloutError, match="app: update paused"):
        watch(Progress("app", 2, 1, given_up="update paused"))


def test_it_takes_no_longer_than_the_timeout():
    with pytest.raises(rollout.RolloutError, match="app 1/2 healthy, 1 starting") as caught:
        watch(STARTING, timeout=0.05)
    assert caught.value.failure == Failure("starting")


def test_an_image_that_dies_while_it_is_watched_is_rolled_back(world):
    good = world.image()
    world.deploy(good)
    world.wait_for(soak=0.02)
    with pytest.raises(TaskError, match="rolled back: release 1"):
        world.deploy(world.image(dies=True))
    assert world.serves() == good.revision


def test_an_image_that_never_gets_healthy_is_rolled_back_with_its_probe(world):
    good = world.image()
    world.deploy(good)
    world.wait_for(timeout=0.1)
    with pytest.raises(TaskError, match=r"not healthy within 0.1 s.*HTTP 503; rolled back"):
        world.deploy(world.image(hangs=True))
    assert world.serves() == good.revision
