"""What runs the app on this machine: one interface, for Docker and for this machine's Python."""

import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from ..errors import ExitCode, TaskError


@dataclass(frozen=True)
class Running:
    """How `dev` runs the app: its ports, and whether a debugger may attach.

    `monitoring` is the port of the monitoring page; 0 for none.
    """

    port: int
    debugport: int
    debugger: bool
    monitoring: int = 0


@dataclass(frozen=True)
class Asked:
    """Which lines of the log are shown.

    Args:
        follow: go on until the app ends or Ctrl-C.
        tail: how many of the last ones are looked at first; 0 for all.
        service: of one service; empty for all.
        since: since when, such as 10m, or a time (ISO 8601).
        patterns: what each line has.
    """

    follow: bool
    tail: int
    service: str = ""
    since: str = ""
    patterns: tuple[re.Pattern[str], ...] = ()

    def has(self, line: str) -> bool:
        """Whether a line is shown."""
        return all(pattern.search(line) for pattern in self.patterns)


@dataclass(frozen=True)
class Testing:
    """How `test` runs the suite: which part, and how."""

    paths: tuple[str, ...] = ()
    pattern: str = ""
    keepdb: bool = False
    parallel: bool = False
    html: bool = False
    app: bool = False

    @property
    def whole(self) -> bool:
        """Whether all tests are to run."""
        return not (self.paths or self.pattern)


class Backend(Protocol):
    """Runs the app on this machine."""

    sqlite: ClassVar[bool]

    def up(self, running: Running, fresh: bool) -> None:
        """Start the app and wait until it is ready. Raises TaskError when it does not start."""

    def down(self, volumes: bool = False) -> None:
        """Stop everything and remove it; with volumes, the data too."""

    def logs(self, asked: Asked) -> None:
        """Print lines of the log. Raises TaskError for a service that is not there."""

    def manage(self, words: list[str]) -> int:
        """Run a manage.py command, and return its exit status."""

    def psql(self, command: str) -> int:
        """Open the database's shell, or run a command of SQL; return the exit status."""

    def load(self, dump: Path) -> None:
        """Replace the database by a dump of PostgreSQL. Raises TaskError if that fails."""

    def test(self, words: list[str], keep: bool = False) -> int:
        """Run a command where the tests run, and return its status; keep the database if asked."""


def claim(port: int) -> None:
    """Check that a port on 127.0.0.1 is free. Raises TaskError when it is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return
        except OverflowError:
            what, hint = f"invalid port {port}", "choose one from 1 to 65535: --port N"
        except OSError:
            what = f"port {port} on 127.0.0.1 is in use"
            hint = f"choose another: inv dev --port {port + 1}"
    raise TaskError(what, hint, ExitCode.REFUSED)
