"""A Swarm as one of its managers shows it: services, tasks, secrets, configs."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ... import files
from ...docker import cli
from ...docker.cli import DockerError
from ...docker.retry import again
from ...errors import ExitCode, TaskError

if TYPE_CHECKING:
    from invoke import Context

    from .stack import Stack

STACK = "com.docker.stack.namespace"
# States, as docker lists them, of a task that is on its way to run:
# https://docs.docker.com/engine/swarm/how-swarm-mode-works/swarm-task-states/
COMING = {"New", "Pending", "Assigned", "Accepted", "Preparing", "Ready", "Starting"}
# What docker says of a task that was forgotten since it was listed.
FORGOTTEN = ("no such task", "not found")


class Listed(NamedTuple):
    """A task as docker lists it.

    Args:
        meant: what it is to be.
        state: what it is; empty while it is on its way to run.
        error: what is wrong with it.
    """

    meant: str
    state: str
    error: str


# What `docker service ps` prints for it: an error may have several lines.
LISTING = "{{.ID}}\t{{.DesiredState}}\t{{.CurrentState}}\t{{json .Error}}"


def listing(shown: str) -> dict[str, Listed]:
    """The tasks that docker lists, by ID."""
    found = {}
    for line in shown.splitlines():
        task, meant, state, error = line.split("\t")
        # It goes on with how long ago that began.
        state = state.partition(" ")[0]
        found[task] = Listed(meant, "" if state in COMING else state, error)
    return found


class Swarm:
    """Asks and changes a Swarm.

    Args:
        env: the variables that let docker speak to a manager, and log in to the registry.
    """

    def __init__(self, ctx: Context, env: Mapping[str, str]) -> None:
        self._ctx, self.env = ctx, dict(env)

    def run(self, *words: str, text: str = "") -> str:
        """What a docker command prints."""
        return cli.run(self._ctx, *words, env=self.env, text=text)

    def query(self, *words: str) -> str:
        """What a docker command prints that changes nothing; tried again when it fails."""
        return again(lambda: cli.run(self._ctx, *words, env=self.env, reads=True))

    def inspect(self, kind: str, names: Iterable[str]) -> list[dict[str, Any]]:
        """What docker knows of some things of a kind; of none, nothing."""
        wanted = list(names)
        return json.loads(self.query("inspect", "--type", kind, *wanted)) if wanted else []

    # What is there.

    def info(self) -> dict[str, Any]:
        """The engine, and its part in the Swarm."""
        return again(self._info)

    def _info(self) -> dict[str, Any]:
        words = ("info", "--format", "{{json .}}")
        found: dict[str, Any] = json.loads(cli.run(self._ctx, *words, env=self.env, reads=True))
        # To docker 26 it is no failure when the engine does not answer.
        if complaints := found.get("ServerErrors"):
            raise DockerError(["docker", *words], 1, "\n".join(complaints))
        return found

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes."""
        return self.inspect("node", self.query("node", "ls", "--quiet").split())

    def services(self, stack: str, names: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
        """The services of a stack, by their names in it.

        Args:
            names: those that are known to be there; none for all.
        """
        wanted = [f"{stack}_{name}" for name in names]
        if not wanted:
            only = ("--filter", f"label={STACK}={stack}")
            wanted = self.query("service", "ls", "--quiet", *only).split()
        found = self.inspect("service", wanted)
        return {each["Spec"]["Name"].removeprefix(f"{stack}_"): each for each in found}

    def listed(self, services: Iterable[Mapping[str, Any]]) -> dict[str, Listed]:
        """The tasks of some services by ID, also those that have ended not long ago."""
        names = [each["ID"] for each in services]
        if not names:
            return {}
        # Names are not wanted: docker would ask for each one by itself.
        words = ("service", "ps", "--no-resolve", "--no-trunc", "--format", LISTING)
        return listing(self.query(*words, *names))

    def tasks(
        self,
        services: Iterable[Mapping[str, Any]],
        but: Iterable[str] = (),
        listed: Iterable[str] | None = None,
    ) -> list[dict[str, Any]]:
        """What docker knows of those tasks.

        Args:
            but: the IDs of those that need not be asked for.
            listed: the IDs of those that are wanted, as they were listed just now; without it, all.
        """
        of, left_out, pauses = list(services), set(but), iter((0.2, 0.5, 2))
        while True:
            wanted = self.listed(of) if listed is None else listed
            try:
                return self.inspect("task", [each for each in wanted if each not in left_out])
            except DockerError as error:
                message, pause = error.stderr.lower(), next(pauses, None)
                if pause is None or not any(sign in message for sign in FORGOTTEN):
                    raise
                # One was forgotten since it was listed.
                listed = None
                time.sleep(pause)

    def logs(self, name: str, lines: int | str = "all") -> list[str]:
        """The last lines that a service or one of its tasks logged; none when they are gone."""
        words = ("service", "logs", "--raw", "--tail", str(lines), name)
        read = partial(cli.run, self._ctx, *words, env=self.env, reads=True, merged=True)
        try:
            return again(read).splitlines()
        except DockerError as error:
            return error.stderr.splitlines()

    # Secrets: never changed, only followed by another version.

    def secrets(self, stack: str) -> dict[str, list[str]]:
        """The versions of each secret of a stack, the newest first."""
        found: dict[str, list[tuple[int, str]]] = defaultdict(list)
        names = self.query("secret", "ls", "--format", "{{.Name}}").split()
        for name in names:
            key, _, version = name.removeprefix(f"{stack}_").rpartition("_v")
            if name.startswith(f"{stack}_") and key and version.isdigit():
                found[key].append((int(version), name))
        return {key: [name for _, name in sorted(each)[::-1]] for key, each in found.items()}

    def set_secret(self, stack: str, name: str, value: str) -> str:
        """Store a secret's next version. Returns what it is called."""
        newest = self.secrets(stack).get(name, [f"{stack}_{name}_v0"])[0]
        made = f"{stack}_{name}_v{int(newest.rpartition('_v')[2]) + 1}"
        self.run("secret", "create", "--label", f"{STACK}={stack}", made, "-", text=value)
        return made

    # What is changed.

    def apply(self, stack: Stack, prune: bool = False) -> None:
        """Give a stack to the Swarm; it goes to work on it."""
        again(lambda: self._apply(stack, prune))

    def _apply(self, stack: Stack, prune: bool) -> None:
        known = self.query("config", "ls", "--format", "{{.Name}}") if stack.configs else ""
        for name, text in stack.configs.items():
            if name not in known.split():
                self.run(
                    "config", "create", "--label", f"{STACK}={stack.name}", name, "-", text=text
                )
        with files.folder() as folder:
            file = folder / "stack.json"
            file.write_text(stack.text(), "utf-8")
            options = ["--resolve-image", "never", "--with-registry-auth", "--detach"]
            options += ["--prune"] if prune else []
            words = ("stack", "deploy", *options, "--compose-file", str(file), stack.name)
            self.run(*words)

    def remove_services(self, names: Sequence[str]) -> None:
        """End some services, by their full names."""
        if names:
            self.run("service", "rm", *names)

    def forget(self, stack: str, used: Collection[str]) -> None:
        """Delete the stack's secrets and configs that are in no use: neither here nor there.

        Args:
            used: names that are kept; the newest version of every secret is, too.
        """
        only = ("--filter", f"label={STACK}={stack}")
        configs = self.query("config", "ls", "--format", "{{.Name}}", *only).split()
        older = [name for versions in self.secrets(stack).values() for name in versions[1:]]
        for kind, names in (("config", configs), ("secret", older)):
            if old := sorted({*names} - {*used}):
                self.run(kind, "rm", *old)


class TaskWatcher:
    """The tasks of some services, of which docker is asked all that it lists otherwise than before.

    Args:
        but: the IDs of those that do not count.
    """

    def __init__(
        self, swarm: Swarm, services: Iterable[Mapping[str, Any]], but: Collection[str] = ()
    ) -> None:
        self._swarm, self._services, self._but = swarm, list(services), but
        self._seen: dict[str, Listed] | None = None
        self._known: dict[str, dict[str, Any]] = {}

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """What docker knew of each at its last change."""
        return list(self._known.values())

    def changed(self) -> bool:
        """Whether anything has, since the last time that this was asked; at first, yes."""
        listed = self._swarm.listed(self._services)
        if listed == self._seen:
            return False
        before, self._seen = self._seen or {}, listed
        self._known = {key: each for key, each in self._known.items() if key in listed}
        fresh = [key for key, each in listed.items() if before.get(key) != each]
        for each in self._swarm.tasks(self._services, self._but, fresh):
            self._known[each["ID"]] = each
        return True


def manager(info: Mapping[str, Any], host: str) -> None:
    """See that an engine manages a Swarm. Raises TaskError otherwise."""
    if not info.get("Swarm", {}).get("ControlAvailable"):
        state = info.get("Swarm", {}).get("LocalNodeState", "inactive")
        raise TaskError(
            f"{host} manages no Swarm ({state})", "inv server.setup --env=...", ExitCode.REFUSED
        )
