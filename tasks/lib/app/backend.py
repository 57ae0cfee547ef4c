"""Where the app runs on this machine: in Docker, or on this machine's Python; one interface."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from .. import console
from ..docker import client
from ..errors import REFUSED, Failed
from .compose import Docker
from .native import Host

if TYPE_CHECKING:
    from invoke import Context

    from ..project.settings import Settings


@dataclass(frozen=True)
class Running:
    """How `dev` was asked to run the app: its ports, and whether a debugger may attach."""

    port: int
    debugport: int
    debugger: bool


@dataclass(frozen=True)
class Testing:
    """How `test` was asked to run the suite: which part, and how."""

    paths: tuple[str, ...] = ()
    pattern: str = ""
    keepdb: bool = False
    parallel: bool = False
    html: bool = False


class Place(Protocol):
    """What can be done with the app wherever it runs on this machine."""

    sqlite: ClassVar[bool]

    def up(self, running: Running, fresh: bool) -> None:
        """Start the app and return when it answers as ready. Raises Failed when it does not."""

    def follow(self) -> None:
        """Print what the app logs until it ends or is interrupted."""

    def down(self, volumes: bool = False) -> None:
        """Stop everything and remove it; with volumes, the data too."""

    def logs(self, follow: bool, tail: int) -> None:
        """Print the last lines of the log, and go on with it when asked to."""

    def manage(self, words: list[str]) -> int:
        """Run a manage.py command; returns its exit status."""

    def psql(self) -> int:
        """Open the database's own shell; returns its exit status."""

    def test(self, words: list[str], keep: bool = False) -> int:
        """Run Python with these words where the tests run; returns its exit status.

        With keep, the database stays for the next time.
        """


def choose(ctx: Context, settings: Settings, asked: str = "") -> Place:
    """Where the app shall run: as asked, else as the settings say; said in one line.

    Raises Failed when `asked` is no engine's name, or Docker is wanted and none answers.
    """
    wanted = asked or settings.dev.engine
    if wanted not in {"auto", "docker", "host"}:
        raise Failed(f"unknown engine {wanted!r}", "use --engine=docker or --engine=host", REFUSED)
    version = "" if wanted == "host" else client.version()
    ci = os.environ.get("CI", "").lower() in {"1", "true"}
    if version:
        console.say(f"engine: docker {version}")
        return Docker(ctx, settings)
    if wanted == "docker" or (ci and wanted == "auto"):
        why = "" if wanted == "docker" else " (CI=true, so there is no falling back)"
        raise Failed(
            f"no Docker engine answers{why}",
            "start Docker (bare Debian: lab/engine up), or add --engine=host",
            REFUSED,
        )
    why = "as asked" if wanted == "host" else "no Docker engine answers"
    console.say(f"engine: host ({why}): this machine's Python, SQLite, in-process cache and tasks")
    return Host(ctx, settings)


def claim(port: int) -> None:
    """See that a port on 127.0.0.1 is free. Raises Failed when something listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OverflowError:
            raise Failed(f"there is no port {port}", "1 to 65535: --port N", REFUSED) from None
        except OSError:
            raise Failed(
                f"port {port} on 127.0.0.1 is in use",
                f"choose another: inv dev --port {port + 1}",
                REFUSED,
            ) from None
