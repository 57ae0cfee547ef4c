"""How an environment is: its services and nodes, who has it, and what was released."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..console import table
from ..orchestrators.swarm.progress import Progress, standing
from ..orchestrators.swarm.stack import RELEASE
from ..project import contract
from ..registry.reference import short
from . import healthcheck
from .history import RUNNING, Release

if TYPE_CHECKING:
    from .connection import Target


def history(releases: Sequence[Release], locked: bool) -> str:
    """Releases as a table, the newest first.

    Args:
        locked: whether somebody is at work; else one that runs was cut off.
    """
    heads = ("release", "state", "kind", "began", "seconds", "commit", "digest", "by", "note")
    rows = [
        (
            str(each.number),
            "cut off" if each.state == RUNNING and not locked else each.state,
            each.kind,
            each.began.replace("+00:00", "Z"),
            str(each.seconds),
            each.revision[:12],
            short(each.digest),
            each.by,
            each.why[:80],
        )
        for each in releases
    ]
    return table(rows, heads) if rows else "no release yet"


def status(target: Target) -> tuple[str, list[str]]:
    """An environment as text, and what is wrong with it, a line each."""
    services = target.swarm.services(target.stack)
    tasks = target.swarm.tasks(services.values())
    nodes = {each["ID"]: each for each in target.swarm.nodes()}
    found = standing(services, tasks)
    rows = [_service(each, services[each.service], tasks, nodes) for each in found]
    wrong = [f"{each.service}: {each}" for each in found if not each.done]
    wrong += [f"node {row[0]}: {row[1]}" for row in map(_node, nodes.values()) if row[1] != "ready"]
    url = target.environment.url.rstrip("/")
    said = healthcheck.probe(f"{url}{contract.LIVEZ}")
    wrong += [said] if said else []
    past = target.releases.read()
    holder = target.holder()
    parts = [
        table(rows, ("service", "replicas", "release", "image", "nodes"))
        if rows
        else "no services",
        table([_node(each) for each in nodes.values()], ("node", "state", "role", "engine")),
        table([(each.name, disk(target, each)) for each in target.hosts], ("server", "disk free")),
        f"url: {url} " + (said or f"answers, version {healthcheck.version(url)[:12]}"),
        f"lock: {holder or 'free'}",
        history(past[:3], bool(holder)),
    ]
    return "\n\n".join(parts), wrong


def _service(
    found: Progress,
    service: Mapping[str, Any],
    tasks: Sequence[Mapping[str, Any]],
    nodes: Mapping[str, Mapping[str, Any]],
) -> tuple[str, str, str, str, str]:
    spec = service["Spec"]
    image = spec["TaskTemplate"]["ContainerSpec"]["Image"]
    where = {
        nodes[each["NodeID"]]["Description"]["Hostname"]
        for each in tasks
        if each["ServiceID"] == service["ID"]
        and each["Status"]["State"] == "running"
        and each.get("NodeID") in nodes
    }
    name, _, digest = image.partition("@")
    release = spec["Labels"].get(RELEASE, "-")
    shown = short(digest) if digest else name
    return (found.service, str(found), release, shown, ", ".join(sorted(where)))


def _node(node: Mapping[str, Any]) -> tuple[str, str, str, str]:
    state, availability = node["Status"]["State"], node["Spec"]["Availability"]
    known = node["Description"]
    leader = node.get("ManagerStatus", {}).get("Leader")
    role = "leader" if leader else node["Spec"]["Role"]
    shown = state if availability == "active" else f"{state}, {availability}"
    return known["Hostname"], shown, role, known["Engine"]["EngineVersion"]


def disk(target: Target, host: Any) -> str:
    """The free space where a server's engine keeps its data."""
    script = "df -Ph /var/lib/docker 2>/dev/null | tail -n 1 || df -Ph / | tail -n 1"
    fields = host.run(script, changes=False).split()
    return f"{fields[3]} of {fields[1]}"
