"""A deploy from its first step to its last, and back again when one of them fails."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import console
from ..environments import healthcheck, history
from ..environments.history import FAILED, GOOD, RUNNING, UNDONE, Release
from ..environments.lock import LockLost
from ..errors import ExitCode, TaskError, explain
from ..images.promotion import move
from ..orchestrators.swarm import jobs, progress, stack
from ..registry.reference import short
from . import failure_report, hooks, predeploy, rollout

if TYPE_CHECKING:
    from ..environments.connection import Target
    from ..environments.lock import Lock
    from ..images.promotion import Candidate
    from ..orchestrators.swarm.stack import Stack


def settled_history(target: Target) -> list[Release]:
    """What was released, after what deploys that were cut off have left is put away."""
    found = target.releases.read()
    cut = [each for each in found if each.state == RUNNING]
    if not cut:
        return found
    jobs.clear(target.swarm, target.stack)
    for each in cut:
        console.warn(f"release {each.number}, by {each.by}, was cut off")
        target.releases.write(replace(each, state=FAILED, why="cut off"))
    return target.releases.read()


def previous(target: Target, entries: list[Release]) -> Stack | None:
    """The stack that runs now; None when there is none."""
    now = history.current(entries)
    return target.releases.stack(now, target.stack) if now else None


def plan(old: Stack | None, new: Stack) -> None:
    """Show what a deploy would change."""
    lines = stack.difference(old, new)
    console.step(
        f"the stack {new.name}: " + ("changes" if lines and old else "new" if lines else "same")
    )
    for line in lines if old else [f"+ {name}" for name in new.content["services"]]:
        console.say(console.colour(f"  {line}", {"+": 32, "-": 31}.get(line[:1], 33)))


def dotenv(target: Target, stack: Stack) -> str:
    """Where a stack answers and which image it runs, as GitLab's dotenv reports have variables."""
    return f"DEPLOY_URL={target.environment.url}\nDEPLOY_IMAGE={stack.image}\n"


def is_current(target: Target, old: Release | None, before: Stack | None, new: Stack) -> bool:
    """Whether a stack is what runs already, and is well."""
    if old is None or before is None or stack.difference(before, new):
        return False
    services = target.swarm.services(new.name)
    tasks = target.swarm.tasks(services.values())
    labels = {each["Spec"]["Labels"].get(stack.RELEASE) for each in services.values()}
    return (
        set(services) == set(new.content["services"])
        and labels == {str(old.number)}
        and all(each.done for each in progress.standing(services, tasks))
    )


def deploy(target: Target, wanted: Stack, release: Release, old: Stack | None, lock: Lock) -> None:
    """Put a stack on the servers, from its backing services to the last check.

    Raises TaskError: exit status 1 when what ran before runs again, 3 when a person is needed.
    """
    began, limit = time.monotonic(), target.settings.deploy.timeout
    hooks.run(hooks.PRE, hooks.facts(target, release), limit)
    release = target.releases.begin(release, wanted.labelled(release.number))
    new = wanted.labelled(release.number)
    with recorded(target, release, began) as note:
        if release.kind == "deploy":
            predeploy.run(target, new, note, lock)
        with undone(target, new, old, note, lock):
            console.step(f"rolling out release {release.number}")
            soak = target.settings.deploy.soak if release.kind == "deploy" else 0
            roll(target, new, release.revision, soak, lock)
    _tidy(target, new)
    hooks.attempt(hooks.POST, hooks.facts(target, release), limit)
    console.say(f"release {release.number} runs: {target.environment.url}")


@contextmanager
def recorded(target: Target, release: Release, began: float) -> Iterator[dict[str, Any]]:
    """Record how a release ended, whatever happens, with what is noted meanwhile."""
    note: dict[str, Any] = {"state": GOOD}
    try:
        yield note
    except BaseException as error:
        note["why"] = explain(error)
        if note["state"] == GOOD:
            note["state"] = FAILED
            note["why"] += "; no replica of the app was touched"
        told = hooks.facts(target, release, note["why"])
        hooks.attempt(hooks.FAILURE, told, target.settings.deploy.timeout)
        if isinstance(error, LockLost):
            # The records are another's by now.
            note.clear()
        person = getattr(error, "code", 1) == ExitCode.PERSON
        code = ExitCode.PERSON if person else ExitCode.FAILED
        raise TaskError(told["DEPLOY_ERROR"], code=code) from error
    finally:
        if note:
            _record(target, replace(release, seconds=round(time.monotonic() - began), **note))


def _record(target: Target, release: Release) -> None:
    """Record how a release ended; that the server cannot be told hides no other failure."""
    try:
        target.releases.write(release)
    except TaskError as error:
        console.warn(f"not recorded: release {release.number} {release.state} ({error})")


def roll(target: Target, new: Stack, revision: str, soak: float, lock: Lock) -> None:
    """Give a stack to the Swarm, and see it run and answer. Raises RolloutError otherwise."""
    before = rollout.snapshot(target.swarm, new.name)
    lock.confirm()
    target.swarm.apply(new, prune=True)
    rollout.watch(target, new, before, soak, lock)
    healthcheck.verify(target.environment.url.rstrip("/"), revision, target.environment.replicas)


@contextmanager
def undone(
    target: Target, new: Stack, old: Stack | None, note: dict[str, Any], lock: Lock
) -> Iterator[None]:
    """Go back to what ran before when a rollout fails or is interrupted."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        why = explain(error)
        try:
            why = failure_report.report(target, error, why)
            state = _undo(target, new, old, lock)
        except LockLost:
            note["state"] = FAILED
            raise
        except (Exception, KeyboardInterrupt) as second:
            note["state"] = FAILED
            what = f"{why}; and what ran before could not be brought back ({explain(second)})"
            hint = f"look: inv status --env={target.name}, then inv deploy"
            if "backup" in note:
                hint += f"; the database as it was before: backup {note['backup']}"
            raise TaskError(what, hint, ExitCode.PERSON) from None
        note["state"] = UNDONE
        raise TaskError(f"{why}; {state}", f"inv logs --env={target.name} tells more") from None


def _undo(target: Target, new: Stack, old: Stack | None, lock: Lock) -> str:
    """Bring back what ran before, on all services. Returns how it is then."""
    if old is None:
        lock.confirm()
        target.swarm.remove_services([f"{new.name}_{name}" for name in new.ours])
        return "nothing of the app runs, as before"
    now = history.current(target.releases.read())
    before = rollout.snapshot(target.swarm, old.name, going_back=True)
    lock.confirm()
    target.swarm.apply(old, prune=True)
    # Until none of the other answers any more.
    rollout.watch(target, old, before, target.settings.deploy.soak, lock)
    if now is None:
        raise TaskError("the server remembers no good release")
    healthcheck.verify(
        target.environment.url.rstrip("/"), now.revision, target.environment.replicas
    )
    return f"undone: release {now.number} ({short(now.digest)}) runs as before"


def mark(target: Target, image: Candidate) -> None:
    """Release an image that runs already. Raises TaskError when the registry refuses it."""
    try:
        move(target.registry, target.name, image)
    except TaskError as error:
        hint = f"then inv release --env={target.name} --ref={image.manifest.digest}"
        raise TaskError(
            f"{image} runs, but is not what is released: {error}", hint, ExitCode.PERSON
        ) from None


def _tidy(target: Target, wanted: Stack) -> None:
    """Forget old releases, and the secrets and configs that only they used."""
    try:
        _forget(target, wanted)
    except Exception as error:
        console.warn(f"old releases could not be put away: {explain(error)}")


def _forget(target: Target, wanted: Stack) -> None:
    entries = target.releases.read()
    old = history.forgettable(entries, target.settings.deploy.keep)
    target.releases.forget(old)
    used = set(wanted.configs)
    for content in target.releases.stacks():
        for kind in ("secrets", "configs"):
            used |= {entry["name"] for entry in content.get(kind, {}).values()}
    target.swarm.forget(target.stack, used)
