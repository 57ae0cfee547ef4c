"""Docker on a server: what every orchestrator on Docker asks of it."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from invoke import Context

from ..docker import api, cli
from ..docker.cli import DockerError
from ..docker.retry import again
from ..errors import TaskError

# Where the engine's API lists the objects of a kind.
LISTS = {"container": "/containers/json?all=1", "volume": "/volumes"}
# The filters for containers that run.
RUN = tuple(f"status={state}" for state in ("running", "paused", "restarting"))
# What docker says of an object that is gone; seconds between two tries to remove one in use.
GONE, POLL = ("no such", "not found"), 0.3


class Engine:
    """Docker on a server; `env` lets it reach the server, and log in to the registry."""

    def __init__(self, ctx: Context, env: Mapping[str, str]) -> None:
        self.ctx, self.env = ctx, dict(env)

    def run(self, *words: str, text: str = "") -> str:
        """Return the output of a docker command."""
        return cli.run(self.ctx, *words, env=self.env, text=text)

    def repeat(self, *words: str, text: str = "") -> str:
        """Return the output of a docker command that may be done twice, and is when that helps."""
        return again(partial(self.run, *words, text=text))

    def query(self, *words: str) -> str:
        """Return the output of a docker command that changes nothing; it is retried."""
        return again(partial(cli.run, self.ctx, *words, env=self.env, reads=True))

    def get(self, path: str) -> Any:
        """Return what the engine's API answers; it is asked again when that may help."""
        return again(partial(api.call, self.ctx, self.env, path))

    def objects(self, kind: str, *filters: str) -> list[dict[str, Any]]:
        """Return the services, nodes, containers or other objects of a kind, as the API lists them.

        Args:
            filters: such as label=KEY=VALUE, as for docker's --filter.
        """
        chosen = defaultdict[str, list[str]](list)
        for key, _, value in (each.partition("=") for each in filters):
            chosen[key].append(value)
        path = LISTS.get(kind, f"/{kind}s")
        found = self.get(f"{path}{'&' if '?' in path else '?'}filters={quote(json.dumps(chosen))}")
        return list((found["Volumes"] if kind == "volume" else found) or [])

    def inspect(self, kind: str, names: Iterable[str]) -> list[dict[str, Any]]:
        """Return what the engine knows of some objects of a kind."""
        return [self.get(f"/{kind}s/{name}{'/json' * (kind == 'container')}") for name in names]

    def ids(self, kind: str, *filters: str) -> list[str]:
        """Return the IDs of the objects of a kind; the names of volumes."""
        return [
            each.get("ID") or each.get("Id") or each["Name"]
            for each in self.objects(kind, *filters)
        ]

    def names(self, kind: str, *filters: str) -> list[str]:
        """Return the names of the secrets, configs or other objects of a kind."""
        return [name_of(each) for each in self.objects(kind, *filters)]

    def info(self) -> dict[str, Any]:
        """Return what the engine says of itself and of its part in the Swarm."""
        return dict(self.get("/info"))

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


def name_of(found: Mapping[str, Any]) -> str:
    """Return the name of an object, as the API lists it."""
    return str(found.get("Spec", found)["Name"])


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
