"""What runs in an environment, beside what is recorded of it: every decision starts from this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from .. import console
from ..errors import ExitCode, TaskError
from ..images import login
from ..orchestrators.stack import Stack, drift
from ..orchestrators.status import Service
from ..project import contract, names
from .connection import Target
from .records import DAMAGED, Record, current


@dataclass(frozen=True)
class Running:
    """What runs, and what is recorded.

    Args:
        record: the record of what runs; None when nothing does, or no record is of it.
        stack: what a deploy that fails brings back; None for nothing.
        drift: what was changed by hand since it was applied, a line each; None if unknown.
        place: where the history is.
    """

    records: Sequence[Record]
    services: Mapping[str, Service]
    record: Record | None
    stack: Stack | None
    drift: Sequence[str] | None
    place: str

    @property
    def stranger(self) -> str:
        """What runs of which no record is here; empty when there is no such thing."""
        app, numbers = self.services.get(contract.APP), {str(each.number) for each in self.records}
        if app is None or app.release in numbers or (self.record and not app.release):
            return ""
        runs = f"release {app.release}" if app.release else "an app without a release"
        elsewhere = f"; its history is in {app.history}" if app.history else ""
        return f"{runs} runs, and is not in the history in {self.place}{elsewhere}"

    def healthy(self) -> bool:
        """Return whether every service has all its replicas, new and healthy."""
        return all(each.progress.done for each in self.services.values())


def look(target: Target) -> Running:
    """Return what runs in an environment now, and what is recorded of it."""
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(target.orchestrator.services)
        records, services = target.history.read(), asked.result()
    now = current(records, services)
    stack = _stack(target, now) if now else None
    return Running(
        records, services, now, stack, _drift(target, now, services), target.history.place
    )


def known(target: Target) -> Running:
    """Return what runs. Raises TaskError with exit status 2 if the history knows nothing of it."""
    found = look(target)
    if found.stranger:
        hint = f"correct hosts or deploy.path, or inv history.adopt --env={target.name}"
        raise TaskError(found.stranger, hint, ExitCode.REFUSED)
    return found


def _stack(target: Target, now: Record) -> Stack:
    try:
        return target.history.stack(now, target.stack)
    except TaskError as error:
        console.warn(f"{error}: what runs is read from the servers")
        return target.orchestrator.running()


def _drift(
    target: Target, now: Record | None, services: Mapping[str, Service]
) -> Sequence[str] | None:
    with suppress(TaskError):
        if now and now.state != DAMAGED:
            specs = {name: service.spec for name, service in services.items()}
            lines = drift(target.history.applied(now), specs)
            return [f"{line}{_by(services, line)}" for line in lines]
    return None


def login_problems(target: Target, now: Running) -> list[str]:
    """Return why a replica of what runs could not start on another node: no login for its image."""
    header, app = target.orchestrator.pull_login(), now.services.get(contract.APP)
    if not header or not app:
        return []
    if not login.is_denied(target.registry, header, app.image.rpartition("@")[2]):
        return []
    what = f"{target.registry.image.host} denies the stored login: no node can pull the image"
    return [f"{what} - inv server.setup --env={target.name} stores yours"]


def monitoring_problems(target: Target) -> list[str]:
    """Return what of the monitoring beside an environment was set up and does not run."""
    if names.is_dynamic(target.name) or not target.environment.servers:
        return []
    stack = names.stack_name(target.settings.project.name, names.MONITORING)
    services = target.orchestrator.beside(stack).services()
    if down := [name for name, each in services.items() if not each.nodes]:
        what = f"monitoring does not run ({', '.join(down)}): alerts are missing"
        return [f"{what} - inv monitor.up --env={target.name}"]
    return []


def _by(services: Mapping[str, Service], line: str) -> str:
    """Return who has changed the service that a line of the drift is of, if that is known."""
    service = services.get(line[2:].partition(".")[0].partition(":")[0])
    return f" (set by {service.changed})" if service and service.changed else ""
