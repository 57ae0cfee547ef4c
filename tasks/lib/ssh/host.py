"""A server: one SSH connection to it, commands there, and a way for docker to its engine."""

from __future__ import annotations

import os
import shlex
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from .. import console
from ..errors import ExitCode, TaskError
from . import connection
from .docker_tunnel import DockerTunnel

if TYPE_CHECKING:
    from invoke import Context
    from paramiko import Channel

# Seconds for a command on the server.
COMMAND = 60
# Seconds in which a failure to open a connection counts for all who want it.
RECENT = 2
# What paramiko tells as the status of a command whose end it did not see.
CUT = -1


class Host:
    """One server, and one SSH connection to it, that is opened again should it break.

    The server's key must be known: from SSH_KNOWN_HOSTS (a text, or a file's path) or else from the
    user's own files. The user's key is that of SSH_PRIVATE_KEY, or comes from the agent or a file,
    as ~/.ssh/config says; so do jump hosts, names and ports.

    Args:
        name: USER@HOST or USER@HOST:PORT.
    """

    def __init__(self, ctx: Context, name: str, env: Mapping[str, str] = os.environ) -> None:
        self.name, self._ctx, self._env = name, ctx, env
        self._connection: Any = None
        # Several threads may find the connection broken, of which one is to open it again.
        self._opening = threading.Lock()
        self._failed: tuple[float, TaskError] | None = None

    def open(self) -> None:
        """Connect. Raises TaskError, with what to do, when that does not work."""
        self.close()
        self._connection = connection.connection(self.name, self._env)
        with connection.explained(self.name):
            self._connection.open()
        transport = self._connection.transport
        connection.tune(transport.sock)
        threading.Thread(target=connection.keep_alive, args=(transport,), daemon=True).start()

    def close(self) -> None:
        """End the connection, and its way there."""
        connection, self._connection = self._connection, None
        while connection is not None:
            connection.close()
            gateway = connection.gateway
            connection = gateway if hasattr(gateway, "close") else None

    def session(self) -> Channel:
        """A channel for one command; a connection that broke is opened once more."""
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
        """What a shell script prints on the server.

        Args:
            arguments: its $1, $2 and so on.
            text: what it reads.
            changes: False for one that only looks: it runs under --dry too, and is not printed.
        Raises RemoteCommandError when it exits with another status than 0.
        """
        run = self._ctx.config.run
        if changes and (run.echo or run.dry):
            words = shlex.join(arguments)
            console.say(console.colour(f"ssh {self.name} {script.strip()} {words}", 1))
        if changes and run.dry:
            return ""
        channel = self.session()
        with connection.explained(self.name):
            channel.settimeout(COMMAND)
            channel.exec_command(shlex.join(["sh", "-c", script, "inv", *arguments]))
            _send(channel, text)
            output = channel.makefile("rb").read().decode(errors="replace")
            said = channel.makefile_stderr("rb").read().decode(errors="replace").strip()
            status = channel.recv_exit_status()
            if status == CUT:
                raise EOFError("the connection was cut")
        if status:
            raise RemoteCommandError(self.name, status, said or output.strip())
        return output

    @contextmanager
    def docker(self) -> Iterator[dict[str, str]]:
        """The variables that let a docker here speak to the engine there, while it lasts."""
        with DockerTunnel(lambda: self.session()) as address:
            # Those are of the engine here; docker 26 would speak TLS on the socket too.
            yield {"DOCKER_HOST": address, "DOCKER_TLS": "", "DOCKER_TLS_VERIFY": ""}


def _send(channel: Channel, text: str) -> None:
    """Send what a command reads; one that has ended already does without."""
    try:
        channel.sendall(text.encode())
        channel.shutdown_write()
    except OSError:
        if not channel.closed:
            raise


class RemoteCommandError(TaskError):
    """A command on a server failed.

    Args:
        said: what it wrote on stderr, else on stdout.
    """

    def __init__(self, host: str, status: int, said: str) -> None:
        last = said.splitlines()[-1] if said else "it says nothing"
        super().__init__(f"{host}: {last} (status {status})", "see to that server, then try again")
        self.status, self.said = status, said


@contextmanager
def connected(
    ctx: Context, names: Sequence[str], env: Mapping[str, str] = os.environ
) -> Iterator[list[Host]]:
    """Connections to servers, all at once. One that does not answer is left out, with a warning.

    Raises TaskError, one line a problem, when the first does not answer, or when one of them has
    another host key or refuses the login.
    """
    hosts = [Host(ctx, name, env) for name in names]
    with ExitStack() as stack:
        for each in hosts:
            stack.callback(each.close)
        with ThreadPoolExecutor(len(hosts)) as pool:
            problems = list(pool.map(_try_open, hosts))
        grave = [
            each
            for number, each in enumerate(problems)
            if each and (number == 0 or not isinstance(each, connection.HostUnreachable))
        ]
        if grave:
            raise TaskError("\ninv: ".join(map(str, grave)), code=ExitCode.REFUSED)
        for problem in filter(None, problems):
            console.warn(str(problem))
        yield [host for host, problem in zip(hosts, problems, strict=True) if not problem]


def _try_open(host: Host) -> TaskError | None:
    try:
        host.open()
    except TaskError as error:
        return error
    return None
