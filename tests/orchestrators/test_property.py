"""Any sequence of deploys, rollbacks, kills, drift and losses, and one deploy ends well."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tasks.lib.environments import adoption, running, status
from tasks.lib.errors import ExitCode, TaskError

from .world import Killed, World, memory_world

NOTHING = "nothing"
OURS = {"app", "worker", "beat"}
BEHAVIOURS = st.sampled_from(
    [{}, {}, {}, {"exits": True}, {"hangs": True}, {"page": 500}, {"check": "no licence"}]
)
MIGRATIONS = st.sampled_from(["none", "none", "reversible", "final", "broken"])


class Site(RuleBasedStateMachine):
    """A site, and what people, accidents and other tools do to it."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        folder = Path(self.stack.enter_context(TemporaryDirectory()))
        self.world: World = self.stack.enter_context(memory_world(folder, keep=4))
        self.world.wait_for(timeout=0.5)
        self.cluster = self.world.orchestrator.inner.cluster
        # All migrations that images know, the irreversible ones, and those that no record has.
        self.migrations: list[str] = []
        self.final: set[str] = set()
        self.unknown: set[str] = set()

    def teardown(self) -> None:
        """One deploy ends well, after what the history lacks was adopted."""
        self.image({}, "none")
        image = self.image({}, "none")
        if running.look(self.world.target).stranger:
            adoption.adopt(self.world.target)
        self.world.deploy(image)
        assert self.world.serves() == image.revision
        found = status.read(self.world.target)
        text, wrong = found.text(), found.problems
        assert [line for line in wrong if "damaged" not in line] == [], text
        assert "drift: none" in text
        self.stack.close()

    def image(self, behaviour: dict, migration: str):
        """A new image, which knows all migrations there are, and perhaps one more."""
        if migration != "none":
            name = f"myapp.{len(self.migrations):04}"
            self.migrations.append(name)
            self.final |= {name} if migration == "final" else set()
            behaviour = behaviour | ({"broken": name} if migration == "broken" else {})
        return self.world.image(
            **behaviour, migrations=tuple(self.migrations), final=tuple(self.final)
        )

    def attempt(self, do: Callable[[], object], wanted: str = "", kill: int | None = None) -> str:
        """Do something that may be refused, fail, or be killed at a call; return how it ended.

        What serves then is what was wanted, or what was before.
        """
        before, now = self.world.serves(), running.look(self.world.target)
        recorded = {now.record.revision} if now.record else {NOTHING}
        if kill:
            self.kill_at(kill)
        try:
            do()
            return "done"
        except Killed:
            allowed = {before, wanted, *recorded}
            assert not wanted or self.world.serves() in allowed
            return "killed"
        except TaskError as error:
            assert error.code in {ExitCode.FAILED, ExitCode.REFUSED}, str(error)
            unchanged = {before} if error.code == ExitCode.REFUSED else {before, *recorded}
            assert self.world.serves() in unchanged, str(error)
            return "refused" if error.code == ExitCode.REFUSED else "failed"
        finally:
            self.cluster.between = lambda: None
            self.world.restart()

    @rule(behaviour=BEHAVIOURS, migration=MIGRATIONS)
    def deploy(self, behaviour: dict, migration: str) -> None:
        """Deploy a new image."""
        image = self.image(behaviour, migration)
        if self.attempt(lambda: self.world.deploy(image)) == "done":
            assert not behaviour and migration != "broken"
            assert self.world.serves() == image.revision

    @rule()
    def deploy_again(self) -> None:
        """Deploy the image that is released."""
        self.attempt(self.world.deploy)

    @rule(step=st.integers(1, 40), behaviour=BEHAVIOURS, migration=MIGRATIONS)
    def killed_deploy(self, step: int, behaviour: dict, migration: str) -> None:
        """Deploy a new image, and be killed at some step."""
        image = self.image(behaviour, migration)
        self.attempt(lambda: self.world.deploy(image), image.revision, step)

    @rule(services=st.integers(1, 5), migration=MIGRATIONS)
    def half_applied(self, services: int, migration: str) -> None:
        """Deploy a new image, and be killed after some of its services were replaced."""
        image, left = self.image({}, migration), iter(range(services))

        def between() -> None:
            if next(left, None) is None:
                self.world.kill()

        self.cluster.between = between
        self.attempt(lambda: self.world.deploy(image), image.revision)

    def kill_at(self, step: int) -> None:
        """Kill the deployer at a call of a server or the orchestrator, by its number."""
        left = iter(range(step))

        def every() -> None:
            if next(left, None) is None:
                self.world.kill()

        self.world.at_every_call(every)

    @rule(step=st.one_of(st.none(), st.integers(1, 20)))
    def rollback(self, step: int | None) -> None:
        """Roll back, perhaps killed at some step."""
        if self.attempt(self.world.rollback, kill=step) == "done":
            serving = self.world.orchestrator.inner.serving()
            crossed = self.final & {*self.cluster.applied} - {*serving.migrations} - self.unknown
            assert not crossed, f"crossed unasked: {crossed}"

    @rule(service=st.sampled_from(["app", "worker", "beat"]))
    def drift(self, service: str) -> None:
        """Change a service by hand."""
        if service in self.world.orchestrator.inner.running_now:
            self.world.by_hand.set_variable(service, "A", "by hand")

    @rule(service=st.sampled_from(["worker", "beat"]), migration=MIGRATIONS)
    def drift_of_an_image(self, service: str, migration: str) -> None:
        """Give a service another image by hand."""
        if service in self.world.orchestrator.inner.running_now:
            self.world.by_hand.set_image(service, self.image({}, migration))

    @rule(service=st.sampled_from(["app", "worker", "db"]))
    def scale(self, service: str) -> None:
        """Scale a service to nothing by hand."""
        if service in self.world.orchestrator.inner.running_now:
            self.world.by_hand.scale(service, 0)

    @rule()
    def set_secret(self) -> None:
        """Set a secret's next version."""
        self.world.target.orchestrator.set_secret("SECRET_KEY", "a value")

    @rule(which=st.integers(0, 3), file=st.sampled_from(["release.json", "stack.json"]))
    def damage(self, which: int, file: str) -> None:
        """Cut a record short."""
        for record in self.world.records()[which : which + 1]:
            with contextlib.suppress(TaskError):
                self.world.damage(record.number, file)

    @rule(which=st.integers(0, 3))
    def lose(self, which: int) -> None:
        """Lose a record, and so what it knew of migrations."""
        for record in self.world.records()[which : which + 1]:
            path = f"{self.world.target.path}/releases/{record.number}"
            self.world.host.inner.run('rm -r "$1"', path)
            self.unknown = {*self.migrations}

    @rule()
    def adopt(self) -> None:
        """Adopt what runs."""
        self.attempt(lambda: adoption.adopt(self.world.target))

    @rule()
    def prune(self) -> None:
        """Prune the registry, unless an image was set by hand: nothing keeps that."""
        services = self.world.target.orchestrator.services().values()
        images = {service.image for service in services if service.name in OURS}
        if images <= {record.image for record in self.world.records()}:
            self.world.prune()

    @invariant()
    def what_is_current_runs(self) -> None:
        """The current release has the image that all replicas run, where nobody changed it."""
        now = running.look(self.world.target)
        images = {service.image for service in now.services.values() if service.name in OURS}
        if now.record and not now.stranger and now.healthy() and len(images) == 1:
            assert now.record.state == "damaged" or images == {now.record.image}

    @invariant()
    def what_runs_has_an_image(self) -> None:
        """What runs and what is remembered is in the registry."""
        target = self.world.target
        images = {service.image for service in target.orchestrator.services().values()}
        images |= {record.image for record in self.world.records() if record.state != "failed"}
        for digest in {image.partition("@")[2] for image in images} - {""}:
            assert target.registry.digest(digest)


def check(examples: int) -> None:
    """Run so many sequences."""
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    chosen = settings(
        max_examples=examples, stateful_step_count=8, deadline=None, suppress_health_check=quiet,
        derandomize=True, database=None,
    )  # fmt: skip
    run_state_machine_as_test(Site, settings=chosen)


def test_some_sequences_end_well():
    check(20)


@pytest.mark.slow
def test_thousands_of_sequences_end_well():
    check(2000)
