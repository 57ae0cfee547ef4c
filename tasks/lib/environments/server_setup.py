"""An environment's servers from the ground up: their admin logs in, and items are made so."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import TypeVar

from invoke import Context

from .. import console
from ..errors import ExitCode, TaskError, refusing
from ..orchestrators.kinds import KINDS
from ..project.settings import Environment, Settings, read_settings
from ..provisioning import facts, firewall, system
from ..provisioning.facts import Facts
from ..provisioning.item import Item
from ..provisioning.server import Server, as_root
from ..reports import Report
from ..ssh.host import Host, connected
from . import connection

T = TypeVar("T")
R = TypeVar("R")
# The ports that the proxy publishes, as compose/server.yml has them.
PUBLISHED = {"HTTP_PORT": 80, "HTTPS_PORT": 443}


@contextmanager
def reach(
    ctx: Context, name: str, env: Mapping[str, str] = os.environ
) -> Iterator[Sequence[Server]]:
    """Connect to an environment's servers as their admin; give none if it names no admin.

    Raises TaskError for a server that is away, or that cannot be set up: nothing is changed.
    """
    settings = read_settings(ctx)
    environment = settings.environment(name)
    if not environment.servers:
        yield []
        return
    if not environment.admin:
        console.warn(f"{name} has no `admin` in invoke.yaml: its servers are set up by other means")
        yield []
        return
    names = [f"{environment.admin}@{_address(each)}" for each in environment.hosts]
    with ExitStack() as connections:
        with refusing():
            hosts = connections.enter_context(connected(ctx, names, env))
            if len(hosts) < len(names):
                hint = "start those that are away, or remove them from `hosts` in invoke.yaml"
                raise TaskError(f"{len(hosts)} of {len(names)} servers answer", hint)
            servers = _servers(settings, environment, hosts)
        yield servers


def _address(host: str) -> str:
    return host.rpartition("@")[2]


def _servers(settings: Settings, environment: Environment, hosts: Sequence[Host]) -> list[Server]:
    """Return the servers with their items."""
    known = _everywhere(facts.read, hosts)
    problems = [
        f"{host.name}: {each.problem}"
        for host, each in zip(hosts, known, strict=True)
        if each.problem
    ]
    if problems:
        raise TaskError("\ninv: ".join(problems))
    users = [each.rpartition("@")[0] for each in environment.hosts]
    if not all(users):
        raise TaskError("a server of `hosts` has no user", "use USER@HOST in invoke.yaml")
    kind = KINDS[environment.orchestrator]
    needs = kind.needs(hosts, known, users[0], settings.server.docker)
    found = []
    for host, user, each, own in zip(hosts, users, known, needs.items, strict=True):
        ports = {f"{each.port}/tcp", *open_ports(settings, _address(host.name))}
        rules, known_ports = firewall.rules(ports, needs.traffic), ports | needs.traffic.ports
        items = _items(settings.deploy.path, user, each)
        items += [*firewall.items(rules, each.init, known_ports), *own]
        items.append(system.upgrades(needs.held))
        found.append(Server(host, items))
    return found


def _items(path: str, user: str, known: Facts) -> list[Item]:
    """Return the items of a server that are the same for every orchestrator."""
    items = [system.packages(*system.PACKAGES), system.user(user)]
    if user != known.user:
        items.append(system.keys(user, known.user))
    if path.startswith("/"):
        items.append(system.folder(path, user))
    return items


def open_ports(settings: Settings, address: str) -> set[str]:
    """Return the ports of a server that everybody reaches, as PORT/PROTOCOL."""
    here = [each for each in settings.environments.values() if address in map(_address, each.hosts)]
    values = [each.values.get(key, default) for each in here for key, default in PUBLISHED.items()]
    given = [port for value in values for port in (value if isinstance(value, list) else [value])]
    pairs = (str(port).partition("/") for port in [*given, *settings.server.ports])
    return {f"{int(port)}/{kind or 'tcp'}" for port, _, kind in pairs if port.isdecimal()}


def differences(servers: Sequence[Server]) -> list[tuple[str, str]]:
    """Return each difference as a line, and what to do if a person must act."""
    every = _everywhere(Server.differences, servers)
    return [
        (server.line(item, found), found.hint)
        for server, pairs in zip(servers, every, strict=True)
        for item, found in pairs
    ]


def found(ctx: Context, name: str) -> list[str]:
    """Return what differs on an environment's servers, a line each with what to do.

    What the orchestrator needs is looked at once the servers themselves are right.
    """
    with reach(ctx, name) as servers:
        lines = [f"{line} - {hint or f'inv server.setup --env={name}'}"
                 for line, hint in differences(servers)]  # fmt: skip
    if lines:
        return lines
    with connection.reach(ctx, name) as target:
        return target.orchestrator.problems()


class ServerCheck(Report, frozen=True, kw_only=True, tag="servers"):
    """Whether an environment's servers have what deploys need: its problems are what differs."""

    environment: str

    def text(self) -> str:
        """Return that all is well, or nothing."""
        return "" if self.problems else f"{self.environment}: its servers have what deploys need"


def checked(ctx: Context, name: str) -> ServerCheck:
    """Return what differs on an environment's servers as a report."""
    return ServerCheck(environment=name, problems=found(ctx, name))


def set_up(ctx: Context, servers: Sequence[Server]) -> bool:
    """Make all servers as they should be; say each change, and return whether there was one.

    Raises TaskError, before anything is changed, if a person must act first.
    """
    found = differences(servers)
    if refused := [f"{line} - {hint}" for line, hint in found if hint]:
        raise TaskError("\ninv: ".join(refused), code=ExitCode.REFUSED)

    def make(server: Server) -> None:
        for line in server.make():
            console.say(line)

    if found:
        try:
            _everywhere(make, servers)
        finally:
            _confirm(ctx, servers)
    return bool(found)


def _confirm(ctx: Context, servers: Sequence[Server]) -> None:
    """See that new SSH connections are possible. Otherwise take back what prevents them, if we did.

    The connections that stand are not touched by a firewall, ours among them.
    """
    changed = [server for server in servers if server.undo]
    names = [server.host.name for server in changed]
    with suppress(TaskError):
        if not names:
            return
        with connected(ctx, names) as hosts:
            if len(hosts) == len(names):
                return
    for server in changed:
        as_root(server.host, "\n".join(server.undo))
    what = "no new SSH connection came through the firewall, so it was removed again"
    raise TaskError(f"{', '.join(names)}: {what}", "check server.ports in invoke.yaml")


def _everywhere(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Do the same work for all at the same time."""
    if not items:
        return []
    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(work, items))
