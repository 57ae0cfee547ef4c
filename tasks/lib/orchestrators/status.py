"""What an orchestrator reports: services, replicas, nodes, failures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Failure:
    """A replica that failed, or does not start: why, and what its log is found by.

    Args:
        passing: it did not begin, for a reason of the engine's that may pass.
    """

    reason: str
    handle: Any = None
    passing: bool = False


@dataclass(frozen=True)
class Evidence:
    """What is left of a replica or a job that failed.

    Args:
        node: where it was; empty if that is not known.
        health: what its health check complained of; empty without a complaint.
        lines: the last that it logged.
        events: what a cluster has said of it, the newest last.
    """

    node: str
    health: str
    lines: Sequence[str]
    events: Sequence[str] = ()


@dataclass(frozen=True)
class Progress:
    """The state of a service's replicas.

    Args:
        leaving: how many old ones get no more requests, and finish those that they have.
        given_up: why the orchestrator itself stopped the update; empty while it goes on.
        waits: why a new replica is not on a node yet.
    """

    service: str
    wanted: int
    healthy: int
    starting: int = 0
    old: int = 0
    failed: Failure | None = None
    given_up: str = ""
    waits: str = ""
    leaving: int = 0

    @property
    def done(self) -> bool:
        """Whether all replicas are new and healthy, and no other one is left."""
        return self.healthy >= self.wanted and not self.starting and not self.old

    def __str__(self) -> str:
        parts = [f"{self.healthy}/{self.wanted} healthy" if self.wanted else "none wanted"]
        why = f" ({self.waits})" if self.waits else ""
        parts += [f"{self.starting} starting{why}"] if self.starting else []
        parts += [f"{self.old} old"] if self.old else []
        parts += [f"{self.leaving} leaving"] if self.leaving else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Service:
    """A service as it really runs.

    Args:
        release: the number of the release that it is labelled with; empty without a label.
        history: where that release's history is, by another label.
        nodes: the IDs of the nodes that its running replicas are on.
        spec: every value that it has, in the orchestrator's own words, but those labels.
        changed: who else has set values of it, and when; empty if that is unknown.
        labels: those that its stack gave it, where Docker runs it.
    """

    name: str
    image: str
    release: str
    progress: Progress
    history: str = ""
    nodes: Sequence[str] = ()
    spec: Mapping[str, Any] = field(default_factory=dict)
    changed: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ports:
    """The ports that are taken on a node, such as "80/tcp", by who has them: stacks and others."""

    node: str
    taken: Mapping[str, set[str]]


@dataclass(frozen=True)
class Stored:
    """Images on a server: how many, and their bytes; layers that they share count for each."""

    server: str
    images: int
    size: int


@dataclass(frozen=True)
class Volume:
    """A volume of an environment, by its name in the Compose files.

    Args:
        made: when (seconds since 1970).
        remove: the command that deletes it, and where.
    """

    name: str
    made: float
    remove: str


@dataclass(frozen=True)
class Node:
    """A node of the cluster; `state` is "ready" when nothing is wrong with it."""

    id: str
    name: str
    state: str
    role: str
    engine: str


@dataclass(frozen=True)
class Lease:
    """A lease of a stack's lock: it is held until the next one is made, or this one removed.

    Args:
        number: the next lease has the next number.
        text: what its holder says of itself.
        age: seconds since it was made, by the servers' clocks; negative if one was set back.
    """

    number: int
    text: str
    age: float = field(default=0, compare=False)


# The file of a store that a record itself is; others are beside it.
RECORD = "release.json"


class Store(Protocol):
    """Keeps the records of an environment, each some files by its number."""

    # How messages name it before it was read.
    name: str

    def read(self) -> tuple[str, dict[int, str]]:
        """Return where the records are, and each one's own file; empty if that is damaged."""

    def show(self, number: int, file: str) -> str | None:
        """Return a file of a record; None if it is missing."""

    def write(self, number: int, file: str, text: str) -> None:
        """Write a file of a record."""

    def named(self) -> set[str]:
        """Return the names of secrets and configs that recorded stacks have, and some more."""

    def delete(self, numbers: Sequence[int]) -> None:
        """Delete records."""

    def log(self, line: str) -> None:
        """Append a line of JSON to the audit log, with the address that it came from if known."""

    def logged(self, count: int) -> list[str]:
        """Return the last lines of the audit log, the oldest first."""

    def problems(self) -> list[str]:
        """Return why nothing can be written, a line each."""

    def set_up(self) -> Iterator[str]:
        """Make the place of the records; yield a line if it was not there."""

    def remove(self) -> None:
        """Delete all records, and their place."""
