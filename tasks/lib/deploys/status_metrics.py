"""What `inv status` sees, for the Prometheus beside an environment: drift, lock, last deploy.

It is written to a file in Prometheus' own volume, for which Prometheus asks itself; see the job
`status` of compose/monitoring/prometheus.yml. Nothing else can write it: no port of that container
is open, and no other one has the volume.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from subprocess import DEVNULL, PIPE, TimeoutExpired

from .. import console
from ..environments import records, releases, running
from ..environments.connection import Target
from ..environments.lock import Holder
from ..environments.releases import CUT_OFF, Release
from ..environments.status import Status
from ..errors import TaskError, explain, last_line
from ..orchestrators.base import Orchestrator
from ..project import names
from . import monitoring, shared_servers

DRIFT, LOCK = "app_drift", "app_lock_seconds"
FAILED, ENDED = "app_deploy_failed", "app_deploy_time_seconds"
LOOKED, NOTIFIED = "app_status_time_seconds", "app_status_notify_time_seconds"
METRICS = (DRIFT, LOCK, FAILED, ENDED, LOOKED, NOTIFIED)
# Seconds that writing may take.
LIMIT = 10.0
# Whether a deploy failed, by its state; the others say that it still runs, or are not known.
STATES = {records.GOOD: "0", **dict.fromkeys((records.FAILED, records.UNDONE, CUT_OFF), "1")}
# It works in the folder of the volume, and has the clock that Prometheus has. What was not looked
# at this time stays as it was.
NOW = "$now"
SCRIPT = """set -e
now=$(date +%s)
mkdir -p status
trap 'rm -f "status/{name}.$$"' EXIT
{{
cat <<END
{lines}
END
grep -sE '^({kept}) ' 'status/{name}.txt' || true
}} >"status/{name}.$$"
mv "status/{name}.$$" 'status/{name}.txt'
"""


def write(target: Target, found: Status, notified: bool, limit: float = LIMIT) -> None:
    """Give Prometheus what `inv status` found. Never raises; without Prometheus, does nothing.

    Args:
        notified: it looked to send messages, as a job on a schedule does, and every receiver got
            them, or there was nothing to send. A look that reaches no person is as good as none.
        limit: the seconds that writing may take.
    """
    # While somebody deploys, what runs differs from what was deployed last.
    drift = {} if found.lock else _drift(found.drift)
    seen = {**_lock(found.lock), **drift, **_deploy(found.releases), LOOKED: NOW}
    with _harmless():
        if there := _beside(target):
            _write(target, there, {**seen, **({NOTIFIED: NOW} if notified else {})}, limit)


def write_deployed(target: Target) -> None:
    """Look at an environment whose deploy has ended, and write what is seen as `write` does."""
    with _harmless():
        if there := _beside(target):
            found = running.look(target)
            last = [releases.release(each, locked=False) for each in found.records[:1]]
            seen = {**_lock(None), **_drift(found.drift), **_deploy(last), LOOKED: NOW}
            _write(target, there, seen, LIMIT)


@contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        console.warn(f"monitoring does not learn what was seen: {explain(error)}")


def _lock(holder: Holder | None) -> dict[str, str]:
    """Return for how long the lock has been held, if that is known; 0 if it is free."""
    if holder is None:
        return {LOCK: "0"}
    with suppress(ValueError):
        since = datetime.fromisoformat(holder.since).timestamp()
        return {LOCK: f"{max(0, time.time() - since):.0f}"}
    return {}


def _deploy(newest: Sequence[Release]) -> dict[str, str]:
    """Return whether the last deploy or rollback failed, and when it ended, if that is known."""
    for last in newest[:1]:
        if failed := STATES.get(last.state):
            with suppress(ValueError):
                ended = datetime.fromisoformat(last.began).timestamp() + last.seconds
                return {FAILED: "0" if last.closed else failed, ENDED: f"{ended:.0f}"}
    return {}


def _drift(lines: Sequence[str] | None) -> dict[str, str]:
    return {} if lines is None else {DRIFT: str(len(lines))}


def _beside(target: Target) -> Orchestrator | None:
    """Return what runs the monitoring of an environment; None if no Prometheus runs there."""
    skipped = target.ctx.config.run.dry or names.is_dynamic(target.name)
    if skipped or not target.environment.servers:
        return None
    there = target.orchestrator.beside(shared_servers.stack_name(target))
    service = there.services().get(monitoring.PROMETHEUS)
    return there if service and service.nodes else None


def _write(target: Target, there: Orchestrator, seen: Mapping[str, str], limit: float) -> None:
    lines = "\n".join(f"{key} {value}" for key, value in seen.items())
    kept = "|".join(key for key in METRICS if key not in seen)
    script = SCRIPT.format(name=target.name, lines=lines, kept=kept)
    if not _run(there, script, limit):
        # It runs on a server of another environment, which shares one with this.
        with shared_servers.reach(target.ctx, target.name) as whole:
            _run(whole.orchestrator, script, limit)


def _run(orchestrator: Orchestrator, script: str, limit: float) -> bool:
    """Run a script in Prometheus' container; return False if none is on these servers."""
    streams = {"stdin": DEVNULL, "stdout": DEVNULL, "stderr": PIPE}
    if not (process := orchestrator.begin(monitoring.PROMETHEUS, script, **streams)):
        return False
    try:
        _, errors = process.communicate(timeout=limit)
    except TimeoutExpired:
        process.kill()
        raise TaskError(f"its container did not answer within {limit:g} s") from None
    if process.returncode:
        raise TaskError(last_line(errors.decode(errors="replace")))
    return True
