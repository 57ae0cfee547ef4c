"""A server: one SSH connection to it, commands there, and docker's way to its engine."""

import os
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from invoke import Context

from .. import console
from ..errors import ExitCode, RemoteCommandError, TaskError
from .client import Client, prepared
from .connection import ENDING, Connection, remote
from .failures import CHECK_HOST, HostUnreachable, LoginRefused
from .tunnel import to_engine

# Seconds for a command on the server.
COMMAND = 60
# Seconds in which a failed connection attempt counts for every thread that needs the connection.
RECENT = 2
# The exit status of ssh if the connection was lost before the command ended.
LOST = 255


class Host:
    """One server, USER@HOST[:PORT], and one SSH connection to it, opened again if it breaks.

    OpenSSH makes it, as for `ssh USER@HOST`, but accepts only known host keys.
    """

    def __init__(self, ctx: Context, name: str, client: Client, number: int = 0) -> None:
        self.name, self._ctx = name, ctx
        self._connection, self._ask = Connection(client, name, number), False
        # If several threads find the connection broken, one of them opens it again.
        self._opening = threading.Lock()
        self._failed: tuple[float, TaskError] | None = None
        # The way to its engine, and what closes it.
        self._engine, self._tunnels, self._digging = "", ExitStack(), threading.Lock()

    @property
    def warnings(self) -> list[str]:
        """What is wrong with the files that say how to connect, though it worked."""
        return self._connection.warnings

    def open(self, ask: bool = False) -> None:
        """Connect; if `ask`, passphrases are asked for. Raises TaskError if that fails."""
        self._ask = ask
        self._connection.open(ask)

    def close(self) -> None:
        """Close the connection."""
        self._tunnels.close()
        self._connection.close()

    def start(self, command: str, **streams: Any) -> subprocess.Popen[bytes]:
        """Start a command there; connect again if the connection is broken."""
        with self._opening:
            if not self._connection.alive():
                self._open_again()
        return self._connection.start(command, **streams)

    def _open_again(self) -> None:
        if self._failed and time.monotonic() - self._failed[0] < RECENT:
            raise self._failed[1]
        try:
            self.open(self._ask)
        except TaskError as error:
            self._failed = time.monotonic(), error
            raise

    def run(
        self,
        script: str,
        *arguments: str,
        text: str = "",
        changes: bool = True,
        seconds: float = COMMAND,
    ) -> str:
        """Run a shell script on the server, and return its stdout.

        Args:
            arguments: its $1, $2 and so on.
            text: its stdin.
            changes: False for a script that only reads: it runs under --dry too, and is not echoed.
            seconds: how long it may take.
        Raises RemoteCommandError if it exits with another status than 0.
        """
        flags = self._ctx.config.run
        if changes and (flags.echo or flags.dry):
            words = shlex.join(arguments)
            console.say(console.colour(f"ssh {self.name} {script.strip()} {words}", 1))
        if changes and flags.dry:
            return ""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        command = self.start(remote(script, arguments), **pipes)
        try:
            parts = command.communicate(text.encode(), seconds)
        except subprocess.TimeoutExpired:
            what = f"{self.name}: SSH timed out (no end of a command within {seconds:g} s)"
            raise HostUnreachable(what, CHECK_HOST, ExitCode.REFUSED) from None
        finally:
            command.kill()
            command.wait()
        output, errors = (part.decode(errors="replace") for part in parts)
        if command.returncode == LOST and not self._connection.alive(ENDING):
            raise self._connection.lost()
        if command.returncode:
            reason = errors.strip() or output.strip()
            raise RemoteCommandError(self.name, command.returncode, reason)
        return output

    def docker(self) -> dict[str, str]:
        """Return the variables that lead a docker client of this machine to the server's engine."""
        with self._digging:
            self._engine = self._engine or self._tunnels.enter_context(to_engine(self.start))
        # The TLS variables are for this machine's engine; docker 26 applies them to sockets.
        return {"DOCKER_HOST": self._engine, "DOCKER_TLS": "", "DOCKER_TLS_VERIFY": ""}


@contextmanager
def connected(
    ctx: Context, names: Sequence[str], env: Mapping[str, str] = os.environ
) -> Iterator[list[Host]]:
    """Connect to all servers at once; leave one that does not answer out, with a warning.

    Raises TaskError, one line a problem, if the first does not answer, or if any refuses.
    """
    if not names:
        yield []
        return
    with ExitStack() as stack:
        client = stack.enter_context(prepared(env))
        hosts = [Host(ctx, name, client, number) for number, name in enumerate(names)]
        for host in hosts:
            stack.callback(host.close)
        with ThreadPoolExecutor(len(hosts)) as pool:
            problems = list(pool.map(_problem, hosts))
        if client.can_ask():
            # One after another: there is only one terminal.
            problems = list(map(_asked, hosts, problems))
        passing = [problem for problem in problems[1:] if isinstance(problem, HostUnreachable)]
        fatal = [str(problem) for problem in problems if problem and problem not in passing]
        if fatal:
            raise TaskError("\ninv: ".join(fatal), code=ExitCode.REFUSED)
        warnings = [line for host in hosts for line in host.warnings] + list(map(str, passing))
        for line in dict.fromkeys(warnings):
            console.warn(line)
        yield [host for host, problem in zip(hosts, problems, strict=True) if not problem]


def _problem(host: Host, ask: bool = False) -> TaskError | None:
    """Connect to a server; return why this fails."""
    try:
        host.open(ask)
    except TaskError as error:
        return error
    return None


def _asked(host: Host, problem: TaskError | None) -> TaskError | None:
    """Connect once more to a server that refused, asking for passphrases; return why this fails."""
    return _problem(host, ask=True) if isinstance(problem, LoginRefused) else problem
