"""One connection of OpenSSH to a server, which carries all commands there."""

import os
import select
import shlex
import subprocess
import time
from contextlib import suppress
from typing import IO, Any, cast

from ..errors import TaskError
from . import failures, variables
from .client import CONNECT, Client

# What the server prints once it runs commands, and does nothing afterwards: the connection ends
# when its stdin ends, which is with us.
READY = "inv-is-connected"
START = f"sh -c 'echo {READY}; exec cat >/dev/null'"
# Seconds to log in, and those that somebody may take to answer.
LOGIN, ANSWER = 20, 120
# Seconds in which ssh ends after its connection did.
ENDING = 1


class Connection:
    """A connection to USER@HOST[:PORT]; `number` makes the names of its files unique."""

    def __init__(self, client: Client, name: str, number: int) -> None:
        self.name, self._client = name, client
        self._socket, self._log = (client.folder / f"{number}{end}" for end in (".sock", ".log"))
        self._process: subprocess.Popen[bytes] | None = None
        self.warnings: list[str] = []

    def open(self, ask: bool = False) -> None:
        """Connect; if `ask`, passphrases are asked for. Raises TaskError if it fails."""
        self.close()
        words = [*self._client.words(ask), "-v", "-M", "-S", str(self._socket)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*words, *destination(self.name), START],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=self._client.environment(ask), start_new_session=True,
            )  # fmt: skip
        stdout = cast(IO[bytes], self._process.stdout)
        printed, ready = _wait(stdout, ANSWER if ask else CONNECT + LOGIN)
        late = "" if ready or not self.alive(ENDING) else "Connection timed out"
        text = self.log() + late
        if printed or not ready:
            self.close()
            raise failures.explain(self.name, text, printed, variables.KNOWN in self._client.env)
        self.warnings = failures.unreadable(text)

    def close(self) -> None:
        """Close it, with all that it carries."""
        if self._process:
            self._process.terminate()
            with suppress(OSError):
                self._process.communicate()
        self._process = None
        self._socket.unlink(missing_ok=True)

    def log(self) -> str:
        """Return what ssh has said of it; nothing if another program has deleted its log."""
        with suppress(FileNotFoundError):
            return self._client.readable(self._log.read_text("utf-8", "replace"))
        return ""

    def alive(self, patience: float = 0) -> bool:
        """Return whether it stands, also after so many seconds."""
        with suppress(subprocess.TimeoutExpired):
            if self._process:
                self._process.wait(patience)
            return False
        return True

    def start(self, command: str, **streams: Any) -> subprocess.Popen[bytes]:
        """Start a command on the server; `streams` are those of subprocess.Popen."""
        # If the server allows no more sessions in one connection, ssh makes another connection.
        words = [*self._client.words(), "-S", str(self._socket), "-o", "ControlMaster=no"]
        return subprocess.Popen(
            [*words, *destination(self.name), command],
            env=self._client.environment(), start_new_session=True, **streams,
        )  # fmt: skip

    def lost(self) -> TaskError:
        """Return the error that says why it was lost."""
        return failures.lost(self.name, self.log())


def destination(name: str) -> list[str]:
    """Return ssh's words for USER@HOST, USER@HOST:PORT or USER@[ADDRESS]:PORT."""
    user, _, address = name.rpartition("@")
    if address.startswith("["):
        host, _, port = address[1:].partition("]")
    elif address.count(":") > 1:
        host, port = address, ""
    else:
        host, _, port = address.partition(":")
    words = ["-l", user] if user else []
    words += ["-p", port.removeprefix(":")] if port else []
    return [*words, "--", host]


def remote(script: str, arguments: tuple[str, ...]) -> str:
    """Return a command that runs a shell script, with arguments, in every user's shell.

    Shells differ in quoting (csh ends a quoted text at a line break, fish knows backslashes), so
    that what they see has neither.
    """
    from base64 import b64encode

    given = f"set -- {shlex.join(arguments)}\n" if arguments else ""
    text = b64encode(f"{given}{script}".encode()).decode()
    return f"""sh -c 'eval "$(echo "$1" | base64 -d)"' inv {text}"""


def _wait(stdout: IO[bytes], seconds: float) -> tuple[str, bool]:
    """Wait until a server runs commands; return what it printed before, and whether it does."""
    output, sign, deadline = b"", f"{READY}\n".encode(), time.monotonic() + seconds
    while not output.endswith(sign):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([stdout], [], [], left)[0]:
            break
        if not (chunk := os.read(stdout.fileno(), 4096)):
            break
        output += chunk
    return output.removesuffix(sign).decode(errors="replace").strip(), output.endswith(sign)
