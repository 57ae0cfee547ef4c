"""A server: one SSH connection to it, commands there, and docker's way to its engine."""

import os
import shlex
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from invoke import Context

from .. import console
from ..errors import ExitCode, RemoteCommandError, TaskError
from . import connection
from .connection import HostUnreachable
from .docker_tunnel import DockerTunnel

# Seconds for a command on the server.
COMMAND = 60
# Seconds in which a failed connection attempt counts for every thread that needs the connection.
RECENT = 2
# The exit status that paramiko returns if the connection was lost before the command ended.
LOST = -1


class Host:
    """One server, USER@HOST[:PORT], and one SSH connection to it, opened again if it breaks.

    Known host keys come from SSH_KNOWN_HOSTS (a text, or a file's path), else from the user's own
    files. The user's key is that of SSH_PRIVATE_KEY, or comes from ssh-agent or a key file, as
    ~/.ssh/config says; so do jump hosts, names and ports.
    """

    def __init__(self, ctx: Context, name: str, env: Mapping[str, str] = os.environ) -> None:
        self.name, self._ctx, self._env = name, ctx, env
        self._connection: Any = None
        # If several threads find the connection broken, one of them opens it again.
        self._opening = threading.Lock()
        self._failed: tuple[float, TaskError] | None = None

    def open(self) -> None:
        """Connect. Raises TaskError if that fails."""
        self.close()
        self._connection = connection.connection(self.name, self._env)
        with connection.explained(self.name):
            self._connection.open()
        transport = self._connection.transport
        connection.tune(transport.sock)
        threading.Thread(target=connection.keep_alive, args=(transport,), daemon=True).start()

    def close(self) -> None:
        """Close the connection, and those to its jump hosts."""
        hop, self._connection = self._connection, None
        while hasattr(hop, "close"):
            hop.close()
            hop = hop.gateway

    def session(self) -> Any:
        """Open a channel for one command; connect again if the connection is broken."""
        with self._opening:
            transport = self._connection.transport if self._connection else None
            if transport is None or not transport.is_active():
                self._open_again()
                transport = self._connection.transport
        with connection.explained(self.name):
            return connection.channel(transport)

    def _open_again(self) -> None:
        if self._failed and time.monotonic() - self._failed[0] < RECENT:
            raise self._failed[1]
        try:
            self.open()
        except TaskError as error:
            self._failed = time.monotonic(), error
            raise

    def run(self, script: str, *arguments: str, text: str = "", changes: bool = True) -> str:
        """Run a shell script on the server, and return its stdout.

        Args:
            arguments: its $1, $2 and so on.
            text: its stdin.
            changes: False for a script that only reads: it runs under --dry too, and is not echoed.
        Raises RemoteCommandError if it exits with another status than 0.
        """
        flags = self._ctx.config.run
        if changes and (flags.echo or flags.dry):
            words = shlex.join(arguments)
            console.say(console.colour(f"ssh {self.name} {script.strip()} {words}", 1))
        if changes and flags.dry:
            return ""
        channel = self.session()
        with connection.explained(self.name):
            channel.settimeout(COMMAND)
            channel.exec_command(shlex.join(["sh", "-c", script, "inv", *arguments]))
            status, output, errors = _finish(channel, text)
        if status:
            raise RemoteCommandError(self.name, status, errors.strip() or output.strip())
        return output

    @contextmanager
    def docker(self) -> Iterator[dict[str, str]]:
        """Give the variables that lead a docker client of this machine to the server's engine."""
        with DockerTunnel(self.session) as address:
            # The TLS variables are for this machine's engine; docker 26 applies them to sockets.
            yield {"DOCKER_HOST": address, "DOCKER_TLS": "", "DOCKER_TLS_VERIFY": ""}


def _finish(channel: Any, text: str) -> tuple[int, str, str]:
    """Send a command its stdin; return its exit status, stdout and stderr."""
    try:
        channel.sendall(text.encode())
        channel.shutdown_write()
    except OSError:
        # A command may end without reading its stdin.
        if not channel.closed:
            raise
    output = channel.makefile("rb").read().decode(errors="replace")
    errors = channel.makefile_stderr("rb").read().decode(errors="replace")
    status = channel.recv_exit_status()
    if status == LOST:
        raise EOFError("connection lost before the command ended")
    return status, output, errors


@contextmanager
def connected(
    ctx: Context, names: Sequence[str], env: Mapping[str, str] = os.environ
) -> Iterator[list[Host]]:
    """Connect to all servers at once; leave an unreachable one out, with a warning.

    Raises TaskError, one line a problem, if the first is unreachable, or if any has another host
    key or rejects the login.
    """
    hosts = [Host(ctx, name, env) for name in names]
    with ExitStack() as stack:
        for host in hosts:
            stack.callback(host.close)
        with ThreadPoolExecutor(len(hosts)) as pool:
            problems = list(pool.map(_problem, hosts))
        passing = [problem for problem in problems[1:] if isinstance(problem, HostUnreachable)]
        fatal = [str(problem) for problem in problems if problem and problem not in passing]
        if fatal:
            raise TaskError("\ninv: ".join(fatal), code=ExitCode.REFUSED)
        for problem in passing:
            console.warn(str(problem))
        yield [host for host, problem in zip(hosts, problems, strict=True) if not problem]


def _problem(host: Host) -> TaskError | None:
    """Connect to a server; return why this fails."""
    try:
        host.open()
    except TaskError as error:
        return error
    return None
