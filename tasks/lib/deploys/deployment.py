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
from ..environments.lock import Lost
from ..errors import Failed, explain
from ..images.promotion import move
from ..orchestrators.swarm import jobs, progress, stack
from ..registry.reference import short
from . import failure_report, hooks, predeploy, rollout

if TYPE_CHECKING:
    from ..environments.connection import Target
    from ..environments.lock import Lease
    from ..images.promotion import Candidate
    from ..orchestrators.swarm.stack import Stack

PERSON = 3


def settled_history(there: Target) -> list[Release]:
    """What was released, after what deploys that were cut off have left is put away."""
    found = there.releases.read()
    cut = [each for each in found if each.state == RUNNING]
    if not cut:
        return found
    jobs.clear(there.swarm, there.stack)
    for each in cut:
        console.warn(f"release {each.number}, by {each.by}, was cut off")
        there.releases.write(replace(each, state=FAILED, why="cut off"))
    return there.releases.read()


def previous(there: Target, entries: list[Release]) -> Stack | None:
    """The stack that runs now; None when there is none."""
    now = history.current(entries)
    return there.releases.stack(now, there.stack) if now else None


def plan(old: Stack | None, new: Stack) -> None:
    """Show what a deploy would change."""
    lines = stack.difference(old, new)
    console.step(
        f"the stack {new.name}: " + ("changes" if lines and old else "new" if lines else "same")
    )
    for line in lines if old else [f"+ {name}" for name in new.content["services"]]:
        console.say(console.colour(f"  {line}", {"+": 32, "-": 31}.get(line[:1], 33)))


def dotenv(there: Target, stack: Stack) -> str:
    """Where a stack answers and which image it runs, as GitLab's dotenv reports have variables."""
    return f"DEPLOY_URL={there.environment.url}\nDEPLOY_IMAGE={stack.image}\n"


def runs(there: Target, old: Release | None, before: Stack | None, new: Stack) -> bool:
    """Whether a stack is what runs already, and is well."""
    if old is None or before is None or stack.difference(before, new):
        return False
    services = there.swarm.services(new.name)
    tasks = there.swarm.tasks(services.values())
    labels = {each["Spec"]["Labels"].get(stack.RELEASE) for each in services.values()}
    return (
        set(services) == set(new.content["services"])
        and labels == {str(old.number)}
        and all(each.done for each in progress.standing(services, tasks))
    )


def deploy(there: Target, wanted: Stack, release: Release, old: Stack | None, held: Lease) -> None:
    """Put a stack on the servers, from its backing services to the last check.

    Raises Failed: exit status 1 when what ran before runs again, 3 when a person is needed.
    """
    began, limit = time.monotonic(), there.settings.deploy.timeout
    hooks.run(hooks.PRE, hooks.facts(there, release), limit)
    release = there.releases.begin(release, wanted.labelled(release.number))
    new = wanted.labelled(release.number)
    with recorded(there, release, began) as note:
        if release.kind == "deploy":
            predeploy.all_but_the_roll(there, new, note, held)
        with undone(there, new, old, note, held):
            console.step(f"rolling out release {release.number}")
            soak = there.settings.deploy.soak if release.kind == "deploy" else 0
            roll(there, new, release.revision, soak, held)
    _tidy(there, new)
    hooks.attempt(hooks.POST, hooks.facts(there, release), limit)
    console.say(f"release {release.number} runs: {there.environment.url}")


@contextmanager
def recorded(there: Target, release: Release, began: float) -> Iterator[dict[str, Any]]:
    """Record how a release ended, whatever happens, with what is noted meanwhile."""
    note: dict[str, Any] = {"state": GOOD}
    try:
        yield note
    except BaseException as error:
        note["why"] = explain(error)
        if note["state"] == GOOD:
            note["state"] = FAILED
            note["why"] += "; no replica of the app was touched"
        told = hooks.facts(there, release, note["why"])
        hooks.attempt(hooks.FAILURE, told, there.settings.deploy.timeout)
        if isinstance(error, Lost):
            # The records are another's by now.
            note.clear()
        code = PERSON if getattr(error, "code", 1) == PERSON else 1
        raise Failed(told["DEPLOY_ERROR"], code=code) from error
    finally:
        if note:
            _record(there, replace(release, seconds=round(time.monotonic() - began), **note))


def _record(there: Target, release: Release) -> None:
    """Record how a release ended; that the server cannot be told hides no other failure."""
    try:
        there.releases.write(release)
    except Failed as error:
        console.warn(f"not recorded: release {release.number} {release.state} ({error})")


def roll(there: Target, new: Stack, revision: str, soak: float, held: Lease) -> None:
    """Give a stack to the Swarm, and see it run and answer. Raises Broken otherwise."""
    before = rollout.snapshot(there.swarm, new.name)
    held.confirm()
    there.swarm.apply(new, prune=True)
    rollout.watch(there, new, before, soak, held)
    healthcheck.verify(there.environment.url.rstrip("/"), revision, there.environment.replicas)


@contextmanager
def undone(
    there: Target, new: Stack, old: Stack | None, note: dict[str, Any], held: Lease
) -> Iterator[None]:
    """Go back to what ran before when a rollout fails or is interrupted."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        why = explain(error)
        try:
            why = failure_report.tell(there, error, why)
            state = _undo(there, new, old, held)
        except Lost:
            note["state"] = FAILED
            raise
        except (Exception, KeyboardInterrupt) as second:
            note["state"] = FAILED
            what = f"{why}; and what ran before could not be brought back ({explain(second)})"
            hint = f"look: inv status --env={there.name}, then inv deploy"
            if "backup" in note:
                hint += f"; the database as it was before: backup {note['backup']}"
            raise Failed(what, hint, PERSON) from None
        note["state"] = UNDONE
        raise Failed(f"{why}; {state}", f"inv logs --env={there.name} tells more") from None


def _undo(there: Target, new: Stack, old: Stack | None, held: Lease) -> str:
    """Bring back what ran before, on all services. Returns how it is then."""
    if old is None:
        held.confirm()
        there.swarm.remove_services([f"{new.name}_{name}" for name in new.ours])
        return "nothing of the app runs, as before"
    now = history.current(there.releases.read())
    before = rollout.snapshot(there.swarm, old.name, going_back=True)
    held.confirm()
    there.swarm.apply(old, prune=True)
    # Until none of the other answers any more.
    rollout.watch(there, old, before, there.settings.deploy.soak, held)
    if now is None:
        raise Failed("the server remembers no good release")
    healthcheck.verify(there.environment.url.rstrip("/"), now.revision, there.environment.replicas)
    return f"undone: release {now.number} ({short(now.digest)}) runs as before"


def mark(there: Target, image: Candidate) -> None:
    """Call an image that runs the released one. Raises Failed when the registry does not let us."""
    try:
        move(there.registry, there.name, image)
    except Failed as error:
        hint = f"then inv release --env={there.name} --ref={image.manifest.digest}"
        raise Failed(f"{image} runs, but is not what is released: {error}", hint, PERSON) from None


def _tidy(there: Target, wanted: Stack) -> None:
    """Forget old releases, and the secrets and configs that only they used."""
    try:
        _forget(there, wanted)
    except Exception as error:
        console.warn(f"old releases could not be put away: {explain(error)}")


def _forget(there: Target, wanted: Stack) -> None:
    entries = there.releases.read()
    old = history.forgettable(entries, there.settings.deploy.keep)
    there.releases.forget(old)
    used = set(wanted.configs)
    for content in there.releases.stacks():
        for kind in ("secrets", "configs"):
            used |= {entry["name"] for entry in content.get(kind, {}).values()}
    there.swarm.forget(there.stack, used)
