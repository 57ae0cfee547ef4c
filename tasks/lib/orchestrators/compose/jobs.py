"""One-off jobs on one server: containers that are never restarted."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from ..base import Job
from ..jobs import Runner
from ..stack import Stack
from .files import Files
from .rendering import JOB, jobs_file
from .server import Server


class ComposeJobs(Runner):
    """Some jobs of a stack; each is known by its container's ID."""

    def __init__(self, files: Files, stack: Stack, jobs: Sequence[Job]) -> None:
        self._files, self._server, self._stack, self._jobs = files, files.server, stack, jobs
        self._mine: list[str] = []
        self._states: dict[str, Mapping[str, Any]] = {}

    def clear(self) -> None:
        clear(self._server)

    def start(self) -> list[str]:
        uses = [*self._stack.services.values(), *(job.overrides for job in self._jobs)]
        self._files.prepare(self._stack, uses)
        self._server.create(jobs_file(self._stack, self._jobs, secrets.token_hex(3)))
        found = self._server.inspect("container", self._server.ids_of(JOB))
        known = {each["Config"]["Labels"][JOB]: str(each["Id"]) for each in found}
        self._mine = [known[job.name] for job in self._jobs]
        self._server.repeat("container", "start", *self._mine)
        return self._mine

    def look(self) -> None:
        found = self._server.inspect("container", self._mine)
        self._states = {each["Id"]: each["State"] for each in found}

    def verdict(self, handle: str) -> tuple[bool, str]:
        state = self._states[handle]
        if state["Status"] not in ("exited", "dead"):
            return False, ""
        memory = ", out of memory" if state.get("OOMKilled") else ""
        code = state["ExitCode"]
        return True, f"failed: exit code {code}{memory}" if code else ""

    def lines(self, handle: str) -> list[str]:
        return self._server.log(handle)

    def remove(self) -> bool:
        if self._mine:
            self._server.delete(self._mine, "--force")
        return bool(self._mine)


def clear(server: Server) -> None:
    """Remove the stack's jobs, whether they run or have ended."""
    server.delete(server.ids_of(JOB), "--force")
