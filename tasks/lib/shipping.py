"""A deploy from its first step to its last, and back again when one of them fails."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import console, jobs, releases, rollout, stack
from .errors import Failed
from .image import short
from .releases import FAILED, GOOD, UNDONE, Release

if TYPE_CHECKING:
    from .lease import Lease
    from .stack import Stack
    from .target import Target

PERSON = 3
PENDING = Path(__file__).with_name("pending.py")
CHECK = 'python manage.py check --deploy --fail-level WARNING >&2 && exec python -c "$0"'
BACKUP = (
    "PGPASSWORD=$(cat /run/secrets/POSTGRES_PASSWORD) exec pg_dump --host=db --format=custom "
    '--username="$POSTGRES_USER" --file="/backups/$0.dump" "$POSTGRES_DB"'
)


def previous(there: Target, history: list[Release]) -> Stack | None:
    """The stack that runs now; None when there is none."""
    now = releases.current(history)
    return there.releases.stack(now, there.stack) if now else None


def plan(old: Stack | None, new: Stack) -> None:
    """Show what a deploy would change."""
    lines = stack.difference(old, new)
    console.step(
        f"the stack {new.name}: " + ("changes" if lines and old else "new" if lines else "same")
    )
    for line in lines if old else [f"+ {name}" for name in new.content["services"]]:
        console.say(console.colour(f"  {line}", {"+": 32, "-": 31}.get(line[:1], 33)))


def runs(there: Target, old: Release | None, before: Stack | None, new: Stack) -> bool:
    """Whether a stack is what runs already, and is well."""
    if old is None or before is None or stack.difference(before, new):
        return False
    services = there.swarm.services(new.name)
    tasks = there.swarm.tasks(services.values())
    nothing = rollout.Snapshot(frozenset(each["ID"] for each in tasks), {})
    labels = {each["Spec"]["Labels"].get(stack.RELEASE) for each in services.values()}
    found = [rollout.judge(name, each, tasks, nothing) for name, each in services.items()]
    return (
        set(services) == set(new.content["services"])
        and labels == {str(old.number)}
        and all(each.done for each in found)
    )


def deploy(there: Target, wanted: Stack, release: Release, old: Stack | None, held: Lease) -> None:
    """Put a stack on the servers, from its backing services to the last check.

    Raises Failed: exit status 1 when what ran before runs again, 3 when a person is needed.
    """
    began = time.monotonic()
    release = there.releases.begin(release, wanted.labelled(release.number))
    new = wanted.labelled(release.number)
    with recorded(there, release, began) as note:
        if release.kind == "deploy":
            _prepare(there, new, note, held)
        with undone(there, new, old, note, held):
            console.step(f"rolling out release {release.number}")
            soak = there.settings.deploy.soak if release.kind == "deploy" else 0
            roll(there, new, release.revision, soak, held)
    console.say(f"release {release.number} runs: {there.environment.url}")


@contextmanager
def recorded(there: Target, release: Release, began: float) -> Iterator[dict[str, Any]]:
    """Record how a release ended, whatever happens, with what is noted meanwhile."""
    note: dict[str, Any] = {"state": GOOD}
    try:
        yield note
    except BaseException as error:
        note["why"] = str(error) or "interrupted"
        if note["state"] == GOOD:
            note["state"] = FAILED
        raise
    finally:
        there.releases.write(replace(release, seconds=round(time.monotonic() - began), **note))


def _prepare(there: Target, new: Stack, note: dict[str, Any], held: Lease) -> None:
    """All that comes before the first of the app's replicas is touched."""
    backing = [name for name in new.content["services"] if name not in new.ours]
    inner = [name for name in backing if not new.content["services"][name].get("ports")]
    limit = there.settings.deploy.timeout
    if set(inner) - set(there.swarm.services(new.name)):
        console.step(f"starting {', '.join(inner)}")
        before = rollout.snapshot(there.swarm, new.name)
        there.swarm.apply(new.only(inner))
        rollout.watch(there, new.only(inner), before, 0, held)
    console.step("checking the image on the servers")
    command = ["sh", "-c", CHECK, PENDING.read_text("utf-8")]
    share = {"volumes": [{"type": "volume", "source": "static", "target": "/srv/static"}]}
    static = new.job("static", ["static", "/srv/static"], every=True, user="0:0", **share)
    said = jobs.run(there.swarm, [new.job("check", command), static], limit, held, quiet=True)
    found = json.loads(said[-1])
    if found["pending"]:
        _migrate(there, new, note, found, held)


def _migrate(
    there: Target, new: Stack, note: dict[str, Any], found: dict[str, Any], held: Lease
) -> None:
    """Migrate the database, with a backup before."""
    names, limit = found["pending"], there.settings.deploy.timeout
    if "db" in new.content["services"]:
        console.step("backing up the database")
        note["backup"] = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        jobs.run(there.swarm, [backup(new, note["backup"])], limit, held)
    console.step(f"migrating: {', '.join(names)}")
    for name in found["final"]:
        console.warn(f"{name} cannot be reversed")
    note |= {"migrations": names, "final": found["final"]}
    jobs.run(there.swarm, [new.job("migrate", ["manage", "migrate", "--noinput"])], limit, held)


def backup(new: Stack, name: str) -> Stack:
    """A job that writes the database to a file of the volume of backups, beside the database."""
    db = new.content["services"]["db"]
    volume = {"type": "volume", "source": "backups", "target": "/backups"}
    deploy = {"placement": db["deploy"].get("placement", {})}
    more = {"image": db["image"], "environment": db["environment"], "secrets": db["secrets"]}
    more |= {"user": "0:0", "volumes": [volume], "deploy": deploy, "read_only": False}
    more |= {"cap_drop": db.get("cap_drop", []), "cap_add": db.get("cap_add", [])}
    return new.job("backup", ["sh", "-c", BACKUP, name], **more)


def roll(there: Target, new: Stack, revision: str, soak: float, held: Lease) -> None:
    """Give a stack to the Swarm, and see it run and answer. Raises Broken otherwise."""
    before = rollout.snapshot(there.swarm, new.name)
    there.swarm.apply(new, prune=True)
    rollout.watch(there, new, before, soak, held)
    times = 2 * max(int(there.environment.values.get("REPLICAS", 2)), 1)
    rollout.verify(there.environment.url.rstrip("/"), revision, times)


@contextmanager
def undone(
    there: Target, new: Stack, old: Stack | None, note: dict[str, Any], held: Lease
) -> Iterator[None]:
    """Go back to what ran before when a rollout fails or is interrupted."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        why = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
        console.warn(f"{why}: undoing it")
        explain(there, error)
        try:
            state = _undo(there, new, old, held)
        except (Exception, KeyboardInterrupt) as second:
            note["state"] = FAILED
            what = f"{why}; and what ran before could not be brought back ({second})"
            raise Failed(what, f"look: inv status --env={there.name}", PERSON) from None
        note["state"] = UNDONE
        raise Failed(f"{why}; {state}", f"inv logs --env={there.name} tells more") from None


def _undo(there: Target, new: Stack, old: Stack | None, held: Lease) -> str:
    """Bring back what ran before, on all services. Returns how it is then."""
    if old is None:
        there.swarm.remove_services([f"{new.name}_{name}" for name in new.ours])
        return "nothing of the app runs, as before"
    before = rollout.snapshot(there.swarm, old.name)
    there.swarm.apply(old, prune=True)
    rollout.watch(there, old, before, 0, held)
    number = next(iter(old.content["services"].values()))["deploy"]["labels"][stack.RELEASE]
    rollout.verify(there.environment.url.rstrip("/"), "", 2)
    return f"undone: release {number} ({short(old.image.rpartition('@')[2])}) runs as before"


def explain(there: Target, error: BaseException) -> None:
    """Show what the failed replica says of itself: its last lines, and its health check's."""
    task = getattr(error, "task", None)
    if not task:
        return
    node, host = there.places.get(task.get("NodeID", ""), ("an unknown node", None))
    console.say(f"  on {node}; its last lines:")
    for line in there.swarm.logs(task["ID"], 15):
        console.say(f"    {line}")
    container = (task["Status"].get("ContainerStatus") or {}).get("ContainerID")
    if not host or not container:
        return
    with host.docker() as env:
        said = _health(there, env, container)
    for line in said:
        console.say(f"  health check: {line}")


def _health(there: Target, env: dict[str, str], container: str) -> list[str]:
    """The last words of a container's health check, if it is still there."""
    from .swarm import Swarm

    try:
        found = Swarm(there.ctx, env).ask(
            "inspect", "--format", "{{json .State.Health}}", container
        )
    except Exception:
        return []
    log = (json.loads(found) or {}).get("Log") or []
    return [log[-1]["Output"].strip()] if log and log[-1]["ExitCode"] else []


def tidy(there: Target, wanted: Stack) -> None:
    """Forget old releases, and the secrets and configs that only they used."""
    history = there.releases.read()
    old = releases.forgettable(history, there.settings.deploy.keep)
    there.releases.forget(old)
    kept = [each for each in history if each not in old]
    used = set(wanted.configs)
    for each in kept:
        content = there.releases.stack(each, there.stack).content
        for kind in ("secrets", "configs"):
            used |= {entry["name"] for entry in content.get(kind, {}).values()}
    there.swarm.forget(there.stack, used)
