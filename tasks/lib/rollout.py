"""The rollout: give a stack to the Swarm, watch it, and see that the app answers as it should."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import console, web
from .errors import Failed
from .swarm import Swarm

if TYPE_CHECKING:
    from .lease import Lease
    from .stack import Stack
    from .target import Target

# Seconds between two looks, and while all is well: each look costs the server some work, too.
POLL, CALM = 0.3, 1.0
# What the app itself answers when it fails, and how often in a row makes that sure.
ERROR, SURE = 500, 4
ENDED_BADLY = {"failed", "rejected"}
# A replica is to go on for ever. One that is stopped for being unhealthy may say that all is well.
ENDED = ENDED_BADLY | {"complete"}
# Nanoseconds that Swarm gives a container to stop, when nothing else is said.
GRACE = 10 * 10**9
# States of an update in which Swarm has given it up.
GIVEN_UP = {"paused", "rollback_started", "rollback_paused", "rollback_completed"}


class Broken(Failed):
    """A rollout failed.

    Args:
        task: the task that shows why, as docker inspects it.
    """

    def __init__(self, what: str, task: Mapping[str, Any] | None = None) -> None:
        super().__init__(what)
        self.task = task


@dataclass(frozen=True)
class Snapshot:
    """What there was before: the tasks' IDs, and how each service's last update stood.

    Args:
        going_back: what fails now may be of the version that goes, and Swarm may be rolling back to
            the one that is wanted: neither is a failure.
        ended: those of the tasks that were meant to run no more.
    """

    tasks: frozenset[str]
    updates: Mapping[str, Any]
    going_back: bool = False
    ended: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Progress:
    """How far a service is.

    Args:
        wanted, healthy, starting, old: replicas.
        failed: a new task that ended badly.
        given_up: Swarm's word that it gave the update up.
        waits: why a new task is on no server yet.
    """

    service: str
    wanted: int
    healthy: int
    starting: int
    old: int
    failed: Mapping[str, Any] | None
    given_up: str
    waits: str = ""

    @property
    def done(self) -> bool:
        """Whether all replicas are new and healthy, and no other is meant to run.

        Swarm, when an update is taken back while it restarts a replica, may leave that twice until
        the next update.
        """
        return self.healthy >= self.wanted and not self.starting and not self.old

    def __str__(self) -> str:
        parts = [f"{self.healthy}/{self.wanted} healthy"]
        why = f" ({self.waits})" if self.waits else ""
        parts += [f"{self.starting} starting{why}"] if self.starting else []
        parts += [f"{self.old} old"] if self.old else []
        return ", ".join(parts)


def snapshot(swarm: Swarm, stack: str, going_back: bool = False) -> Snapshot:
    """What there is now."""
    services = swarm.services(stack)
    tasks = swarm.listed(services.values())
    updates = {name: each.get("UpdateStatus") for name, each in services.items()}
    ended = frozenset(task for task, meant in tasks.items() if meant == "Shutdown")
    return Snapshot(frozenset(tasks), updates, going_back, ended)


def judge(
    name: str, service: Mapping[str, Any], tasks: Iterable[Mapping[str, Any]], before: Snapshot
) -> Progress:
    """How far a service is, from what docker says of it and of its tasks."""
    template = service["Spec"]["TaskTemplate"]
    mine = [each for each in tasks if each["ServiceID"] == service["ID"]]
    meant = [each for each in mine if each["DesiredState"] in {"running", "ready"}]
    new = [each for each in meant if same(each["Spec"], template)]
    healthy = [each for each in new if each["Status"]["State"] == "running"]
    failed = (
        each
        for each in mine
        if each["Status"]["State"] in ENDED
        and each["ID"] not in before.tasks
        and (not before.going_back or same(each["Spec"], template))
    )
    update = service.get("UpdateStatus") or {}
    fresh = update != (before.updates.get(name) or {})
    state = update.get("State", "") if fresh and not before.going_back else ""
    return Progress(
        name,
        wanted=service["Spec"]["Mode"].get("Replicated", {}).get("Replicas", len(meant)),
        healthy=len(healthy),
        starting=len(new) - len(healthy),
        old=len(meant) - len(new),
        failed=next(failed, None),
        given_up=update.get("Message") or state if state in GIVEN_UP else "",
        waits=next((each["Status"]["Err"] for each in new if _waits(each)), ""),
    )


def _waits(task: Mapping[str, Any]) -> bool:
    return task["Status"]["State"] == "pending" and bool(task["Status"].get("Err"))


def same(task: Mapping[str, Any], template: Mapping[str, Any]) -> bool:
    """Whether a task was made from a service's template as it is now."""
    keys = ("ContainerSpec", "Resources", "Placement", "ForceUpdate")
    return all(_given(task.get(key)) == _given(template.get(key)) for key in keys)


def _given(part: Any) -> Any:
    """A part of a template without what a service's has and a task's has not: the defaults."""
    if not isinstance(part, dict):
        return part or None
    given = {key: each for key, each in part.items() if each}
    if given.get("StopGracePeriod") == GRACE:
        del given["StopGracePeriod"]
    return given or None


def watch(there: Target, stack: Stack, before: Snapshot, soak: float, lease: Lease) -> None:
    """Wait until every service is new and healthy, and for `soak` seconds stays so.

    Raises Broken as soon as a replica fails or Swarm gives up, or when the time is over.
    """
    limit = there.settings.deploy.timeout
    began = time.monotonic()
    good_since: float | None = None
    board = console.Board()
    while True:
        lease.check()
        services = there.swarm.services(stack.name, stack.content["services"])
        tasks = there.swarm.tasks(services.values(), but=before.ended)
        found = [judge(name, each, tasks, before) for name, each in sorted(services.items())]
        board.show([(each.service, str(each)) for each in found])
        for each in found:
            if each.failed or each.given_up:
                _broken(each)
        now = time.monotonic()
        good_since = (good_since or now) if found and all(each.done for each in found) else None
        left = soak if good_since is None else soak - (now - good_since)
        if good_since is not None and left <= 0:
            return
        if now - began > limit:
            late = "; ".join(f"{each.service} {each}" for each in found if not each.done)
            raise Broken(f"not healthy within {limit} s: {late}", _stuck(tasks, before))
        time.sleep(POLL if good_since is None else min(CALM, left))


def _broken(progress: Progress) -> None:
    if progress.failed:
        raise Broken(f"{progress.service}: {describe(progress.failed)}", progress.failed)
    raise Broken(f"{progress.service}: {progress.given_up}")


def _stuck(tasks: Iterable[Mapping[str, Any]], before: Snapshot) -> Mapping[str, Any] | None:
    """A new task that does not come up."""
    waiting = (
        each
        for each in tasks
        if each["ID"] not in before.tasks and each["Status"]["State"] != "running"
    )
    return next(waiting, None)


def describe(task: Mapping[str, Any]) -> str:
    """How a task stands or ended, in Swarm's words, with its exit code."""
    status = task["Status"]
    why = status.get("Err") or status.get("Message") or status["State"]
    if why.startswith("No such image"):
        why += " (its server could not pull it)"
    code = (status.get("ContainerStatus") or {}).get("ExitCode")
    known = f"exit code {code}" if code and f"({code})" not in why else ""
    slot = f"replica {task['Slot']} " if task.get("Slot") else ""
    if status["State"] == "complete":
        return f"{slot}ended (exit code 0)"
    return f"{slot}{status['State']}: {why}" + (f" ({known})" if known else "")


def verify(url: str, revision: str, times: int, timeout: float = 20) -> None:
    """See that the app answers at its address, with the wanted version, several times in a row.

    Args:
        revision: what /livez must say; empty: any.
        times: how often in a row.
        timeout: seconds that it may take.
    Raises Broken with the last answer otherwise.
    """
    good, errors, deadline = 0, 0, time.monotonic() + timeout
    while good < times:
        said = probe(f"{url}/livez", revision) or probe(f"{url}/", "")
        good = 0 if said else good + 1
        errors = errors + 1 if said.endswith(f" answers {ERROR}") else 0
        if errors == SURE or (said and time.monotonic() > deadline):
            raise Broken(said)
        if said:
            time.sleep(POLL)


def probe(url: str, revision: str) -> str:
    """What is wrong with the answer of an address; empty when nothing is."""
    from urllib3.exceptions import HTTPError

    try:
        answer = web.Web().send("GET", url)
    except HTTPError as error:
        return f"{url} does not answer: {web.cause(error)[:200]}"
    if answer.status >= 400:
        return f"{url} answers {answer.status}"
    if revision:
        try:
            runs = answer.json()["version"]
        except (ValueError, KeyError, TypeError):
            return f"{url} answers {answer.status}, but tells no version"
        if runs != revision:
            return f"{url} answers with version {str(runs)[:12]}, not {revision[:12]}"
    return ""


def version(url: str) -> str:
    """The version that the app tells at its address; empty when it tells none."""
    from urllib3.exceptions import HTTPError

    try:
        return str(web.Web().send("GET", f"{url}/livez").json().get("version", ""))
    except (HTTPError, ValueError, AttributeError):
        return ""
