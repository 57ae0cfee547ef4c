"""A deploy or rollback, from its plan to its record."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .. import console
from ..data import backups
from ..environments import records, releases
from ..environments.connection import Target
from ..environments.lock import Lock, LockLost
from ..environments.records import FAILED, GOOD, RUNNING, Record
from ..environments.running import Running
from ..errors import ExitCode, TaskError, explain
from ..images import promotion
from ..images.promotion import Candidate
from ..orchestrators.base import Job
from ..orchestrators.jobs import JobError
from ..orchestrators.stack import Stack, difference
from ..project.names import is_dynamic
from . import hooks, predeploy, preflight, status_metrics, undo, verification
from .notices import Notices
from .plan import compare, forget, remember, settled
from .rollout import roll
from .tidying import tidy_images


@dataclass
class Deployment:
    """One deploy or rollback of an environment.

    Args:
        now: what runs when it begins.
        image: the image of a deploy; a rollback has only its stack.
        lost, kept: another deploy holds the lock now; what was left of what failed is recorded.
        unchanged: there was nothing to do.
        ahead: the stack for jobs before the rollout, if another; `switch` is done before them.
    """

    target: Target
    stack: Stack
    now: Running
    record: Record
    lock: Lock
    image: Candidate | None = None
    lost: bool = False
    kept: bool = False
    unchanged: bool = False
    ahead: Stack | None = None
    switch: Callable[[], None] = lambda: None
    notices: Notices = field(init=False)
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.notices = Notices(self.target)

    @classmethod
    def of_image(
        cls, target: Target, stack: Stack, image: Candidate, lock: Lock, force: str = ""
    ) -> Deployment:
        """Return the deploy of an image and its stack; `force`: why, if it is untested.

        Raises TaskError as promotion.require_in_order does.
        """
        now = settled(target)
        if now.record and not is_dynamic(target.name):
            promotion.require_in_order(target.registry, now.record.digest, image, force)
        number = records.next_number(now.records, now.services)
        made = records.new_deploy(number, stack.image, image.revision, force, target.verify_url)
        return cls(target, stack, now, made, lock, image)

    @classmethod
    def back_to(cls, target: Target, number: str, lock: Lock, force: str = "") -> Deployment:
        """Return the rollback to a release; without a number, to the one before what runs.

        Raises TaskError with exit status 2 if it crosses an irreversible migration without `force`.
        """
        now = settled(target)
        goal = records.rollback_target(now.records, now.record, number)
        crossed = records.irreversible_since(now.records, goal)
        if crossed and not force:
            what = f"{', '.join(crossed)} cannot be reversed since release {goal.number}"
            raise TaskError(what, 'restore a backup, or --force "reason"', ExitCode.REFUSED)
        stack = preflight.load_stack(target, goal)
        following = records.next_number(now.records, now.services)
        made = records.new_rollback(following, goal, force, target.verify_url)
        return cls(target, stack, now, made, lock)

    def plan(self) -> None:
        """Show what it would change, and the drift that it would repair."""
        compare(self.target, self.now, self.stack, self.record.revision).say()

    def run_if_needed(self) -> None:
        """Deploy, unless what runs is the stack, without drift, and is healthy."""
        now = self.now
        same = now.stack is not None and not difference(now.stack, self.stack)
        if now.record and same and now.drift == [] and now.healthy():
            console.say(f"release {now.record.number} runs already: nothing to do")
            self.unchanged = True
            verification.make_up(self.target, now.records, now.record)
            return status_metrics.write_deployed(self.target)
        if self.image and self.record.why:
            promotion.admit(self.target.registry, self.image, self.record.why)
        self.run()

    def run(self) -> None:
        """Deploy, from the hook before to the last check.

        Raises TaskError: exit status 1 when it was rolled back, 3 when a person is needed.
        """
        hooks.run(self.target, hooks.PRE, self.record)
        self.stack = self.stack.labelled(self.record.number, self.now.place)
        # The tag first: a recorded deploy has its image.
        remember(self.target, self.now.record, self.record)
        self.record = self.target.history.begin(self.record, self.stack)
        try:
            self.notices.begun(self.record)
            predeploy.run(self)
            self.rollout()
            self.note(state=GOOD)
        except BaseException as error:
            raise self._failed(error) from error
        finally:
            # The history is the new lock holder's to write.
            if not self.lost:
                self._write()
        self.finish()

    def jobs(self, jobs: Sequence[Job], answer: str = "", stack: Stack | None = None) -> str:
        """Run one-off jobs of its stack; see Orchestrator.run_jobs."""
        stack, timeout = stack or self.ahead or self.stack, self.target.settings.deploy.timeout
        return self.target.orchestrator.run_jobs(stack, jobs, timeout, self.lock, answer)

    def note(self, **values: Any) -> None:
        """Note what is known of it now."""
        self.record = replace(self.record, **values)

    def record_ahead(self, **values: Any) -> None:
        """Record what is about to be done, so that a killed deploy loses no fact."""
        self.note(**values)
        self.target.history.write(self.record)

    def rollout(self) -> None:
        """Replace the app's replicas, and check that it answers; undo it when that fails."""
        console.step(f"rolling out release {self.record.number}")
        soak = self.target.settings.deploy.soak if self.record.kind == "deploy" else 0
        try:
            roll(self.target, self.stack, soak, self.lock, applied=self._write_applied)
            verification.verify(self, self.stack, self.record)
        except (Exception, KeyboardInterrupt) as error:
            raise undo.undo(self, error) from None

    def _write_applied(self, specs: Mapping[str, Any]) -> None:
        """Record what was applied; without it the next deploy applies its stack once more."""
        try:
            self.target.history.write_applied(self.record, specs)
        except TaskError as error:
            console.warn(f"drift is not known before the next deploy: {error}")

    def _failed(self, error: BaseException) -> TaskError:
        """Note why it failed; return the error that ends the task."""
        # A job's lines were shown already.
        if (left := undo.left(self, error)) and not isinstance(error, JobError):
            console.say(releases.left(left))
        why = explain(error)
        if self.record.state == RUNNING:
            self.note(state=FAILED)
            why += "; no replica of the app was touched"
        self.note(why=why)
        self.lost = isinstance(error, LockLost)
        self.notices.failed(self.record, why)
        person = getattr(error, "code", None) == ExitCode.PERSON
        return TaskError(why, code=ExitCode.PERSON if person else ExitCode.FAILED)

    def _write(self) -> None:
        """Record how it ended; a server that does not answer hides no other failure."""
        self.note(seconds=round(time.monotonic() - self.began))
        try:
            self.target.history.write(self.record)
        except TaskError as why:
            console.warn(f"not recorded: release {self.record.number} {self.record.state} ({why})")
        status_metrics.write_deployed(self.target)

    def finish(self) -> None:
        """Forget what no remembered release needs, and say what runs."""
        try:
            forget(self.target, self.stack, self.record)
            tidy_images(self.target)
        except Exception as error:
            console.warn(f"old releases could not be removed: {explain(error)}")
        backups.note_release(self.target, self.stack, self.record)
        console.say(f"release {self.record.number} runs: {self.target.environment.url}")
        self.notices.done(self.record)

    def dotenv(self) -> str:
        """Return where it answers and which image runs, for GitLab's dotenv report."""
        return f"DEPLOY_URL={self.target.environment.url}\nDEPLOY_IMAGE={self.stack.image}\n"
