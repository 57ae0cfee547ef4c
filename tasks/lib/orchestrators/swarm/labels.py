"""Which of a Swarm's nodes belong to a stack: labels, and the constraints on them.

The label STACK=home is on the node that keeps what is on disk. STACK.server=yes is on each of the
environment's servers; "former" is on a node that was one, and may still have volumes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ...docker.retry import again
from ...project import contract
from .client import Swarm

MEMBER, FORMER = "yes", "former"
# Swarm's constraints know == and != only.
CONSTRAINT = re.compile(r"\s*(\S+?)\s*(==|!=)\s*(.*?)\s*")
# What docker says of a node.
Node = Mapping[str, Any]


def of(node: Node) -> dict[str, str]:
    """Return a node's labels."""
    return dict(node["Spec"].get("Labels") or {})


def server(stack: str) -> str:
    """Return the label of a stack's servers."""
    return f"{stack}.server"


def constraint(stack: str) -> str:
    """Return the constraint that keeps a service on its stack's servers."""
    return f"node.labels.{server(stack)} == {MEMBER}"


def of_service(service: Mapping[str, Any]) -> list[str]:
    """Return the constraints of a service, in Compose's words."""
    return list(service.get("deploy", {}).get("placement", {}).get("constraints", []))


def placed(stack: str, constraints: Sequence[str]) -> list[str]:
    """Return a service's constraints, with one on the stack's servers or its home among them."""
    keys = {found[1] for each in constraints if (found := CONSTRAINT.fullmatch(each))}
    ours = {f"node.labels.{label}" for label in (stack, server(stack))}
    return [*constraints] if keys & ours else [*constraints, constraint(stack)]


def admits(constraints: Iterable[str], node: Node) -> bool:
    """Return whether constraints let a service on a node, as far as labels and names say."""
    facts = {"node.id": node["ID"], "node.hostname": node["Description"]["Hostname"]}
    facts |= {"node.role": node["Spec"].get("Role", "")}
    facts |= {f"node.labels.{key}": value for key, value in of(node).items()}
    for found in filter(None, map(CONSTRAINT.fullmatch, constraints)):
        key, sign, value = found.groups()
        known = key in facts or key.startswith("node.labels.")
        if known and (facts.get(key, "").lower() == value.lower()) != (sign == "=="):
            return False
    return True


def home(nodes: Iterable[Node], stack: str) -> Node | None:
    """Return the node with a stack's data; None before it has one."""
    return next((node for node in nodes if of(node).get(stack) == contract.HOME), None)


def mark(
    swarm: Swarm, nodes: Sequence[Node], servers: Mapping[str, str], stack: str, whole: bool
) -> Iterator[str]:
    """Label the stack's servers, and the first as its home if it has none; yield each change.

    Args:
        servers: the names of the servers by the IDs of their nodes.
        whole: these are all of them; other nodes with the label are servers no longer.
    """
    first, label = next(iter(servers)), server(stack)
    if home(nodes, stack) is None:
        put(swarm, first, stack, contract.HOME)
        yield f"{servers[first]}: home of {stack}: its proxy and its database"
    for node in nodes:
        name, value = servers.get(node["ID"]), of(node).get(label)
        if name and value != MEMBER:
            put(swarm, node["ID"], label, MEMBER)
            yield f"{name}: a server of {stack}"
        elif whole and not name and value == MEMBER:
            put(swarm, node["ID"], label, FORMER)
            hostname = node["Description"]["Hostname"]
            yield f"{hostname}: no longer a server of {stack}; its volumes stay there"


def put(swarm: Swarm, node: str, label: str, value: str) -> None:
    """Set a node's label."""
    words = ("node", "update", "--label-add", f"{label}={value}", node)
    again(partial(swarm.run, *words))


def forget(swarm: Swarm, node: Node, stack: str) -> None:
    """Remove a stack's labels from a node."""
    mine = sorted({stack, server(stack)} & of(node).keys())
    words = [word for label in mine for word in ("--label-rm", label)]
    if words:
        again(partial(swarm.run, "node", "update", *words, node["ID"]))


def problems(
    nodes: Sequence[Node], servers: Mapping[str, str], stack: str, setup: str, whole: bool
) -> list[str]:
    """Return a line for each server that is not labelled, and for a home that is no server.

    Args:
        servers: the IDs of the nodes by the names of the servers, whose engine answers.
        setup: the command that sets servers up.
        whole: these are all of the servers.
    """
    known = {node["ID"]: of(node) for node in nodes}
    found = [
        f"{name}: not in the Swarm of the first server - {setup}"
        for name, node in servers.items()
        if node not in known
    ]
    found += [
        f"{name}: its node lacks the label {server(stack)}={MEMBER} - {setup}"
        for name, node in servers.items()
        if node in known and known[node].get(server(stack)) != MEMBER
    ]
    keeper = home(nodes, stack)
    if whole and keeper and keeper["ID"] not in servers.values():
        hint = "add it to `hosts` in invoke.yaml"
        found.append(f"{keeper['Description']['Hostname']} has the data of {stack} - {hint}")
    return found


def own(nodes: Sequence[Node], stack: str) -> Sequence[Node]:
    """Return the nodes that are a stack's servers; all of them before the servers are labelled."""
    wanted = {(stack, contract.HOME), (server(stack), MEMBER)}
    labelled = any(of(node).get(server(stack)) == MEMBER for node in nodes)
    return [node for node in nodes if wanted & of(node).items() or not labelled]


def outside(nodes: Iterable[Node], stack: str, reached: Collection[str]) -> list[Node]:
    """Return the nodes with a stack's labels whose server was not reached."""
    ours = {stack, server(stack)}
    return [node for node in nodes if ours & of(node).keys() and node["ID"] not in reached]
