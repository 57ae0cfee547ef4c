"""The status of an environment: services, nodes, lock, history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from ..console import table
from ..orchestrators.status import Service
from ..registry.reference import short
from . import healthcheck, records, running, storage
from .connection import Target
from .healthcheck import Answer
from .records import DAMAGED, RUNNING, Record
from .running import Running


def history_table(history: Sequence[Record], locked: bool) -> str:
    """Return records as a table; unless the lock is held, a deploy that is running was killed."""
    heads = ("release", "state", "kind", "began", "seconds", "commit", "digest", "by", "note")
    rows = [
        (
            str(record.number),
            "cut off" if record.state == RUNNING and not locked else record.state,
            record.kind,
            record.began.replace("+00:00", "Z"),
            str(record.seconds),
            record.revision[:12],
            short(record.digest),
            record.by,
            _note(record)[:80],
        )
        for record in history
    ]
    return table(rows, heads) if rows else "no release yet"


def status(target: Target) -> tuple[str, list[str]]:
    """Return an environment's status as text, and what is wrong with it, a line each."""
    with ThreadPoolExecutor() as pool:
        servers = pool.submit(storage.servers, target)
        now, nodes = running.look(target), target.orchestrator.nodes()
        backups, problems = storage.backups(target, now.services)
    services, names = now.services.values(), {node.id: node.name for node in nodes}
    answer = healthcheck.alive(target.url, target.settings.app.probes)
    holder = target.holder()
    wrong = [f"{each.name}: {each.progress}" for each in services if not each.progress.done]
    wrong += [f"node {node.name}: {node.state}" for node in nodes if node.state != "ready"]
    wrong += [*problems, *url_problems(answer, now), *differences(target, now, holder)]
    heads = ("service", "replicas", "release", "image", "nodes")
    rows = [_service(service, names) for service in services]
    machines = [(node.name, node.state, node.role, node.engine) for node in nodes]
    parts = [
        table(rows, heads) if rows else "no services",
        table(machines, ("node", "state", "role", "engine")),
        servers.result(),
        f"url: {described(target.url, answer, now)}",
        f"lock: {holder or 'free'}",
        f"backups: {backups}",
        drift(now),
        history_table(now.records[:3], bool(holder)),
    ]
    return "\n\n".join(filter(None, parts)), wrong


def described(url: str, answer: Answer, now: Running) -> str:
    """Return in words what the site answers, and since when no deploy has asked it from outside."""
    runs = f", version {answer.version[:12]}" if answer.version else ""
    text = answer.failure or f"{url} answers{runs}"
    since = records.unverified_since(now.records, now.record)
    return f"{text}\n  not verified from outside since release {since}" if since else text


def url_problems(answer: Answer, now: Running) -> list[str]:
    """Return what is wrong with an answer; a site that no deploy reached need not be reached."""
    expected = not answer.reached and now.record and not now.record.url_verified
    return [] if expected or not answer.failure else [answer.failure]


def drift(now: Running) -> str:
    """Return what was changed by hand, as text."""
    if now.drift is None:
        return "drift: not known before the next deploy"
    return "\n  ".join([f"drift: {'none' if not now.drift else ''}".rstrip(), *now.drift])


def differences(target: Target, now: Running, holder: str) -> list[str]:
    """Return where servers and records differ, each with the command that ends it."""
    found = [f"{now.stranger} - inv history.adopt --env={target.name}"] if now.stranger else []
    for each in now.records:
        if each.state == RUNNING and not holder:
            found.append(f"release {each.number} was cut off - inv deploy --env={target.name}")
        found += [each.why] if each.state == DAMAGED else []
    if now.drift and now.record and not holder:
        what = f"{len(now.drift)} values differ from release {now.record.number}"
        found.append(f"drift: {what} - inv deploy --env={target.name}")
    return found


def _note(record: Record) -> str:
    unverified = "" if record.url_verified else "URL not verified from outside"
    return "; ".join(filter(None, (unverified, record.why)))


def _service(service: Service, names: Mapping[str, str]) -> tuple[str, str, str, str, str]:
    name, _, digest = service.image.partition("@")
    nodes = sorted(names[node] for node in service.nodes if node in names)
    image = short(digest) if digest else name
    return service.name, str(service.progress), service.release or "-", image, ", ".join(nodes)
