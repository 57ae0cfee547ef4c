"""The status of a lab: its registry, its servers, and the URLs of its environments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from .. import console
from ..errors import TaskError
from ..project.places import KUBERNETES
from ..registry.credentials import Login
from ..registry.session import Session
from ..reports import Report
from . import config_files, state
from .lab import SWARM, Lab
from .state import State

# What `docker node ls` prints of a node.
MEMBER = "{{.Hostname}} {{.Status}} {{.ManagerStatus}}"
HEADS = ("WHAT", "STATE", "WHERE", "MORE")
HEALTHY, UNHEALTHY = "healthy", "unhealthy"
# What is said of a server in place of its status in a Swarm.
ALONE = "without a Swarm"
Row = tuple[str, str, str, str]


class Part(msgspec.Struct, frozen=True):
    """A part of a lab: its registry, a server or an environment, which has no state."""

    name: str
    state: str
    where: str
    more: str


class LabStatus(Report, frozen=True, kw_only=True, tag="lab"):
    """A lab's registry, its servers, and the URLs of its environments."""

    lab: str
    parts: list[Part]

    def text(self) -> str:
        """Return a table."""
        return console.table([msgspec.structs.astuple(each) for each in self.parts], HEADS)


def check(lab: Lab) -> LabStatus:
    """Return a lab's status, with what is unhealthy as its problem.

    Raises TaskError when the lab does not exist.
    """
    known = state.load(lab.folder)
    if known is None:
        raise TaskError(f"lab {lab.name} not found", f"inv lab.up --name {lab.name}")
    members = _members(lab, known.nodes) if known.orchestrator == SWARM else None
    rows = [_registry(known), *(_node(lab, known, node, members) for node in known.nodes)]
    unhealthy = [row[0] for row in rows if row[1] == UNHEALTHY]
    settings = config_files.overlay(known, lab.settings.project.name, lab.environments)
    environments = settings["environments"].items()
    rows += [(name, "", values["url"], "an environment") for name, values in environments]
    problems = [f"unhealthy: {', '.join(unhealthy)}"] if unhealthy else []
    return LabStatus(lab=lab.name, parts=[Part(*row) for row in rows], problems=problems)


def _members(lab: Lab, names: Sequence[str]) -> dict[str, str]:
    """Return the status of each server in the Swarm, from the first that answers."""
    for name in names:
        if output := lab.query(name, "docker", "node", "ls", "--format", MEMBER):
            return dict(line.split(" ", 1) for line in output.splitlines())
    return {}


def _registry(known: State) -> Row:
    login = Login(known.host, state.USER, known.password, "the lab")
    try:
        Session(known.host, login).request("GET", "/v2/")
    except TaskError as error:
        return "registry", UNHEALTHY, known.host, str(error)
    return "registry", HEALTHY, known.host, f"login succeeded as {login.user}"


def _node(lab: Lab, known: State, node: str, members: Mapping[str, str] | None) -> Row:
    if known.orchestrator == KUBERNETES:
        shown = lab.query(known.nodes[0], "kubectl", "get", "node", node, "--no-headers")
        _, state, *_, version = shown.split() or ("", "not in the cluster", "no answer")
        return node, HEALTHY if state == "Ready" else UNHEALTHY, "", f"kubelet {version}, {state}"
    version = lab.query(node, "docker", "version", "--format", "{{.Server.Version}}")
    member = _member(node, members)
    health = HEALTHY if version and member.startswith(("Ready", ALONE)) else UNHEALTHY
    ssh = f"deploy@127.0.0.1:{known.ssh[known.nodes.index(node)]}"
    return node, health, ssh, f"docker {version or 'does not answer'}, {member}"


def _member(node: str, members: Mapping[str, str] | None) -> str:
    """Return a server's status in the Swarm, which None stands for where there is none."""
    if members is None:
        return ALONE
    return members.get(node, "not in the Swarm").strip() if members else "no Swarm leader"
