"""A rollout on one server: new containers beside the old ones, one switch, then the old ones go.

All of the app's services are one decision: their new containers are used together, once all of them
are healthy, or not at all. Whatever moment it is cut off in, the containers that the proxy looks up
have a restart policy, and those without one may go.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any

from ... import console
from ...ssh.host import Host
from ..base import Rollout
from ..stack import RELEASE, Stack
from ..status import Failure, Progress
from . import rendering, replacement, spec
from .containers import ACCEPTED, NONE, Container, by_service, replicas, reusable
from .files import Files
from .watched import Watched

# Seconds in which the proxy stops using containers that it looks up no longer.
LOOKED_UP = 1
# Seconds that old containers may take to stop before the deploy goes on without waiting for them.
PATIENCE = 90


class ComposeRollout(Rollout):
    """One rollout on one server."""

    def __init__(self, host: Host, files: Files, stack: Stack, back: bool, prune: bool) -> None:
        server = files.server
        self._server, self._stack, self._back, self._prune = server, stack, back, prune
        self._host, self._files, self._mark = host, files, ""
        replacement.wait(host, stack.name)
        self._seen = Watched(server)
        self._chosen: dict[str, list[str]] = {}
        self._leaving, self._late = set[str](), set[str]()
        self._steps: Iterator[None] = iter(())
        self._shown: list[Progress] = []

    def apply(self) -> dict[str, Any]:
        stack, server = self._stack, self._server
        self._files.prepare(stack, stack.services.values())
        self._clear_ended()
        release = next(iter(stack.services.values()))["deploy"].get("labels", {}).get(RELEASE, "0")
        self._mark = f"{release}-{secrets.token_hex(3)}"
        server.create(rendering.generation(stack, list(stack.services), self._mark))
        self._seen.look()
        specs = {}
        for name, mine in by_service(self._seen.all).items():
            if name in stack.services:
                specs[name] = self._choose(name, mine)
        self._seen.look()
        self._steps = self._roll()
        next(self._steps)
        return specs

    def _clear_ended(self) -> None:
        """Remove what earlier deploys have left and what has ended: it is in no use."""
        self._server.delete(each.id for each in self._seen.all if not each.accepted and each.ended)

    def _choose(self, name: str, mine: Sequence[Container]) -> dict[str, Any]:
        """Choose a service's new containers, or those that are there if they are the same."""
        new, ours = [each for each in mine if each.generation == self._mark], self._stack.ours
        wanted = spec.accepted(new[0].spec, ACCEPTED) if new else {}
        kept = reusable(mine, new, name in ours)
        keep = len(kept) == len(new) and (self._back or name not in ours)
        self._chosen[name] = [each.id for each in (kept if keep else new)]
        if keep:
            self._server.delete(each.id for each in new)
        return {"Replicas": replicas(self._stack.services[name]), **wanted}

    # The steps; each `yield` waits for the next look.

    def _roll(self) -> Iterator[None]:
        ours, stack = self._stack.ours, self._stack
        for name in stack.backing:
            yield from self._replace(name)
        self._start(ours)
        yield
        while not all(self._seen.steady(each) for each in self._new(ours)):
            yield
        if ours:
            self._switch()
        for name in stack.services:
            if name not in (*ours, *stack.backing):
                yield from self._replace(name)
        yield from self._retire()
        while True:
            yield

    def _new(self, names: Sequence[str]) -> list[Container]:
        chosen = {each for name in names for each in self._chosen.get(name, ())}
        return [each for each in self._seen.all if each.id in chosen]

    def _others(self, names: Sequence[str]) -> list[Container]:
        new = self._new(names)
        return [each for each in self._seen.all if each.service in names and each not in new]

    def _replace(self, name: str) -> Iterator[None]:
        """Stop what there is of a service, then start what was chosen: only one may be there."""
        new, old = self._new([name]), self._others([name])
        if not old and all(each.policy == ACCEPTED and each.healthy for each in new):
            return
        script = replacement.Replacement(self._host, self._server.stack, name, new)
        while not script.ended():
            yield
        self._seen.started |= {each.id for each in new}
        self._seen.look()
        if not self._failure(name):
            script.check()
            self._server.delete(each.id for each in self._others([name]))

    def _start(self, names: Sequence[str]) -> None:
        """Start the new containers of services that do not run yet."""
        new = self._new(names)
        self._server.start(each for each in new if each.ended)
        self._seen.started |= {each.id for each in new}

    def _switch(self) -> None:
        """Use the new containers of all of the app's services, and no other."""
        ours = self._stack.ours
        new, old = self._new(ours), self._others(ours)
        self._server.restart_policy(ACCEPTED, [each for each in new if not each.accepted])
        names = {each.service: f"{each.service}-{each.generation}" for each in new}
        self._files.look(self._stack, names)
        self._server.restart_policy(NONE, old)

    def _retire(self) -> Iterator[None]:
        """Let old containers finish what they have begun, and remove them."""
        ours = self._stack.ours
        gone = {each.service for each in self._seen.all} - {*self._stack.services}
        old = self._others([*ours, *(gone if self._prune else ())])
        if not old:
            return
        self._server.restart_policy(NONE, old)
        until = time.monotonic() + LOOKED_UP
        while time.monotonic() < until:
            yield
        self._leaving = {each.id for each in old}
        until, stopping = time.monotonic() + PATIENCE, self._server.stopping(old)
        while not stopping.ended() and time.monotonic() < until:
            yield
        self._seen.look()
        left = [each for each in self._seen.all if each.id in self._leaving]
        self._server.delete(each.id for each in left if each.ended)
        if late := [each for each in left if not each.ended]:
            self._late = {each.id for each in late}
            names = ", ".join(sorted({each.service for each in late}))
            console.warn(
                f"old containers still finish their work: {names}; the next deploy goes on"
            )

    # What there is.

    def progress(self) -> list[Progress] | None:
        self._seen.look()
        found = self._progress()
        if not any(each.failed for each in found):
            next(self._steps)
            found = self._progress()
        changed = found != self._shown
        self._shown = found
        return found if changed else None

    def _progress(self) -> list[Progress]:
        return [self._judge(name) for name in sorted(self._stack.services)]

    def _judge(self, name: str) -> Progress:
        new, wanted = self._new([name]), replicas(self._stack.services[name])
        ours = name in self._stack.ours
        healthy = sum(self._seen.steady(each) if ours else each.healthy for each in new)
        others = [each for each in self._others([name]) if each.state != "created"]
        leaving = sum(each.id in self._leaving - self._late for each in others)
        old = sum(each.id not in self._leaving for each in others)
        failed = self._failure(name)
        return Progress(name, wanted, healthy, len(new) - healthy, old, failed, leaving=leaving)

    def _failure(self, name: str) -> Failure | None:
        """Return a new container of a service that failed."""
        new = self._new([name])
        if len(new) < len(self._chosen.get(name, ())):
            return Failure("a replica was removed")
        return self._seen.failure(new)

    def stuck(self) -> Failure | None:
        for each in self._new([*self._chosen]):
            if not self._seen.steady(each):
                return Failure(f"replica {each.number} {each.health or each.state}", each.facts)
        return None
