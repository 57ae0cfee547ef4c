"""Docker on a server: what every orchestrator on Docker asks of it."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from invoke import Context

from ..docker import cli
from ..docker.cli import DockerError
from ..docker.retry import again
from ..errors import TaskError

# What docker says of an object that is gone; seconds between two tries to remove one in use.
GONE, POLL = ("no such", "not found"), 0.3


class Engine:
    """Docker on a server; `env` lets it reach the server, and log in to the registry."""

    def __init__(self, ctx: Context, env: Mapping[str, str]) -> None:
        self.ctx, self.env = ctx, dict(env)

    def run(self, *words: str, text: str = "") -> str:
        """Return the output of a docker command."""
        return cli.run(self.ctx, *words, env=self.env, text=text)

    def query(self, *words: str) -> str:
        """Return the output of a docker command that changes nothing; it is retried."""
        return again(partial(cli.run, self.ctx, *words, env=self.env, reads=True))

    def inspect(self, kind: str, names: Iterable[str]) -> list[dict[str, Any]]:
        """Return what docker knows of some objects of a kind."""
        wanted = list(names)
        return json.loads(self.query("inspect", "--type", kind, *wanted)) if wanted else []

    def ids(self, kind: str, *filters: str) -> list[str]:
        """Return the IDs of the services, nodes or other objects of a kind."""
        return self.query(kind, "ls", "--quiet", *filters).split()

    def names(self, kind: str, *filters: str) -> list[str]:
        """Return the names of the secrets, configs or other objects of a kind."""
        return self.query(kind, "ls", "--format", "{{.Name}}", *filters).split()

    def info(self) -> dict[str, Any]:
        """Return what the engine says of itself and of its part in the Swarm."""
        return again(self._info)

    def _info(self) -> dict[str, Any]:
        words = ("info", "--format", "{{json .}}")
        found: dict[str, Any] = json.loads(cli.run(self.ctx, *words, env=self.env, reads=True))
        # Docker 26 exits with 0 although the engine does not answer.
        if errors := found.get("ServerErrors"):
            raise DockerError(["docker", *words], 1, "\n".join(errors))
        return found

    def remove(self, kind: str, name: str, seconds: float) -> None:
        """Remove a network, volume or other object that a container may still use for a while.

        Raises TaskError if it is in use after so many seconds. One that is gone is no error.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.run(kind, "rm", name)
                return
            except DockerError as error:
                if any(sign in error.stderr.lower() for sign in GONE):
                    return
                if time.monotonic() > deadline:
                    what = f"cannot remove {kind} {name}: {error}"
                    raise TaskError(what, "see what uses it, then retry") from None
            time.sleep(POLL)


def next_version(stack: str, name: str, known: Mapping[str, Sequence[str]]) -> str:
    """Return the name of a secret's next version; `known` is what `versions` returns."""
    newest = known.get(name, ["_v0"])[0]
    return f"{stack}_{name}_v{int(newest.rpartition('_v')[2]) + 1}"


def versions(stack: str, names: Iterable[str]) -> dict[str, list[str]]:
    """Return the versions of each secret of a stack, the newest first, from the names of all."""
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for name in names:
        key, _, version = name.removeprefix(f"{stack}_").rpartition("_v")
        if name.startswith(f"{stack}_") and key and version.isdigit():
            found[key].append((int(version), name))
    return {key: [name for _, name in sorted(each)[::-1]] for key, each in found.items()}
