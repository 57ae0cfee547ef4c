"""What runs the app on this machine: one interface, fulfilled by Docker and by this machine."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import ClassVar, Protocol

from ..errors import ExitCode, TaskError


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


class Backend(Protocol):
    """What can be done with the app wherever it runs on this machine."""

    sqlite: ClassVar[bool]

    def up(self, running: Running, fresh: bool) -> None:
        """Start the app and return when it answers as ready. Raises TaskError when it does not."""

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


def claim(port: int) -> None:
    """See that a port on 127.0.0.1 is free. Raises TaskError when something listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OverflowError:
            raise TaskError(
                f"there is no port {port}", "1 to 65535: --port N", ExitCode.REFUSED
            ) from None
        except OSError:
            raise TaskError(
                f"port {port} on 127.0.0.1 is in use",
                f"choose another: inv dev --port {port + 1}",
                ExitCode.REFUSED,
            ) from None
