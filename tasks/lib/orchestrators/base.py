"""The seam: what deploys need of the thing that runs containers, whichever it is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..provisioning.facts import Facts
from ..ssh.host import Host
from .lease_store import LeaseStore
from .needs import Needs
from .neighbours import Neighbours
from .space import Space
from .stack import Stack
from .status import Evidence, Failure, Lease, Node, Ports, Progress, Service, Store


@dataclass(frozen=True)
class Job:
    """A one-off job: a container of the app's image with the app's settings, run once.

    Args:
        everywhere: once on every node.
        speaks: it was run for what it prints.
        overrides: keys of the service, in Compose's words, that differ from the app's.
    """

    name: str
    command: Sequence[str]
    everywhere: bool = False
    speaks: bool = False
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LogOptions:
    """Which lines of a log: follow it, how many of the last ones (0: all), since when."""

    follow: bool
    tail: int
    since: str


class Guard(Protocol):
    """What long work asks whether it may go on: the deploy lock."""

    def check(self) -> None:
        """Raise LockLost if the lock is known to be lost."""

    def confirm(self) -> None:
        """Raise LockLost if the server says that the lock is lost."""

    @property
    def lost(self) -> bool:
        """Whether the server says that the lock is lost."""


class Rollout(Protocol):
    """One rollout of a stack; it remembers what ran when it was made."""

    def apply(self) -> dict[str, Any]:
        """Give the stack to the orchestrator, which starts to replace replicas.

        Returns the spec that it made of each service; see Service.spec.
        """

    def progress(self) -> list[Progress] | None:
        """Return the state of every service; None if nothing changed since the last call."""

    def stuck(self) -> Failure | None:
        """Return a new replica that does not start."""


class Orchestrator(Neighbours, Space, Protocol):
    """Runs the containers of one environment."""

    poll: float  # seconds between two looks at a rollout

    def services(self) -> dict[str, Service]:
        """Return the environment's services by name, as they run."""

    def running(self) -> Stack:
        """Return what runs as a stack. Raises TaskError for what no stack can say."""

    def nodes(self) -> list[Node]:
        """Return the nodes of the environment's servers; all of the cluster's before set_up."""

    def ports(self) -> Ports:
        """Return the ports that are taken where the stack publishes its own."""

    def problems(self) -> list[str]:
        """Return every problem of the servers that would make a deploy fail, a line each."""

    def unmade(self) -> list[str]:
        """Return what set_up has to make before anything can be checked there, in words."""

    def misfits(self, stack: Stack, auth: str) -> list[str]:
        """Return why the servers cannot pull or run a stack, a line each; auth: Login.header."""

    def missing(self, stack: Stack) -> list[str]:
        """Return the secrets and configs that a recorded stack needs and that are gone."""

    def evidence(self, failure: Failure) -> Evidence:
        """Return what is left of a failed replica. Never raises."""

    def logs(self, services: Sequence[str], options: LogOptions) -> Iterator[str]:
        """Yield what services logged, a line each. Raises TaskError when that cannot be read."""

    def try_out(self, service: Mapping[str, Any], command: Sequence[str]) -> None:
        """Run a command as a service would, without network and data. Raises DockerError."""

    def lease(self) -> Lease | None:
        """Return the newest lease; None if there is none."""

    def take_lease(self, former: Lease | None, text: str) -> Lease | None:
        """Make the lease after `former`, the newest one, or the first one; return it.

        Return None if `former` is not the newest any more: of several that try, one succeeds.
        Done again after an error, it knows a lease of the same text that was made nevertheless.
        """

    def drop_lease(self, text: str) -> None:
        """Remove the leases with a text; do nothing if there is none."""

    def waiting(self) -> LeaseStore:
        """Return the leases of those who wait for the lock: a chain of their own."""

    def pull_login(self) -> str:
        """Return the login that is kept for later pulls, as Login.header; empty if none is."""

    def records(self) -> Store | None:
        """Return what keeps the environment's records; None if its first server does."""

    @staticmethod
    def needs(hosts: Sequence[Host], facts: Sequence[Facts], user: str, source: str) -> Needs:
        """Return what bare servers need for a user's deploys, with an engine from a source."""

    def set_up(self) -> Iterator[str]:
        """Make the servers ready; yield a line for each change. Run again, it changes nothing."""

    def secrets(self) -> dict[str, list[str]]:
        """Return the versions of each secret, the newest first."""

    def set_secret(self, name: str, value: str) -> str:
        """Store the next version of a secret; return the version's name."""

    def read_secrets(self, image: str) -> dict[str, str]:
        """Return each secret's newest value, read in a job of an image. Hold the lock for it."""

    def remove_secret(self, name: str) -> None:
        """Delete all versions of a secret. Raises DockerError while a service uses one."""

    def render(self, config: Mapping[str, Any], image: str, secrets: Mapping[str, str]) -> Stack:
        """Return the stack of a Compose project, complete and pinned; it asks no server.

        Args:
            config: what `docker compose config` prints.
            secrets: for each secret that the project may use the name of its newest version.
        """

    def manifests(self, stack: Stack) -> str:
        """Return a stack as the text of the files with which others could deploy it."""

    def rollout(self, stack: Stack, back: bool = False, prune: bool = True) -> Rollout:
        """Return the rollout of a stack.

        Args:
            back: it goes back to what ran before, whose replicas may still be there.
            prune: remove the services that the stack does not have.
        """

    def run_jobs(
        self, stack: Stack, jobs: Sequence[Job], timeout: float, guard: Guard, answer: str = ""
    ) -> str:
        """Run one-off jobs at the same time, and print their output; leave none behind.

        Args:
            timeout: seconds for all of them.
            answer: how the line of the first begins that is returned; without it, nothing is.
        Raises TaskError when one fails.
        """

    def clear_jobs(self) -> None:
        """Remove the jobs that a killed deploy has left."""

    def remove_services(self, names: Sequence[str]) -> None:
        """Remove services; their data stays."""

    def tidy(self, used: Collection[str]) -> None:
        """Delete secrets and configs but for the used ones and each secret's newest version."""

    def remove(self, volumes: bool) -> list[str]:
        """Remove everything, with volumes also data and secrets; return a line for each rest."""
