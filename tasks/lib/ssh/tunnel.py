"""What only a server reaches, on a socket of this machine, over the open SSH connection."""

import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from tempfile import TemporaryFile
from typing import IO, Self

from .. import files
from ..errors import ExitCode, TaskError, last_line

CHUNK = 32768
# On a server, it talks to the engine, as for docker's own ssh:// addresses.
DIAL = "docker system dial-stdio"
# Seconds in which a command ends after its output did.
ENDING = 5


# Starts a command that talks to what is reached; it takes the streams of subprocess.Popen.
Start = Callable[..., "subprocess.Popen[bytes]"]


class Dialled:
    """A way to what is reached: a command, with its stdin and stdout as one socket."""

    def __init__(self, start: Start) -> None:
        self.socket, theirs = socket.socketpair()
        self._errors: IO[bytes] = TemporaryFile()  # noqa: SIM115 - close() closes it
        with theirs:
            self.process = start(stdin=theirs, stdout=theirs, stderr=self._errors)

    def reason(self) -> str:
        """Return why the command has ended."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(ENDING)
        self._errors.seek(0)
        said = last_line(self._errors.read().decode(errors="replace"))
        return said or f"exit status {self.process.poll()}"

    def end(self) -> None:
        """Let it end, also while it is in use."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the command."""
        self.socket.close()
        self._errors.close()
        self.process.terminate()
        self.process.wait()


class Tunnel:
    """Connects each client of a listening socket with what a command talks to.

    One such command is always started in advance, so that the next client does not wait for it.
    """

    def __init__(self, start: Start, server: socket.socket) -> None:
        self._start, self._server = start, server
        self._spares: SimpleQueue[Dialled] = SimpleQueue()
        self._used: set[Dialled] = set()
        # One thread at a time opens a spare one.
        self._opening = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        self._server.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()
        threading.Thread(target=self._open_spare, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._server.close()
        self._close_spares()
        for each in [*self._used]:
            each.end()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _spare(self) -> Dialled | None:
        """Take the spare one, unless it has ended meanwhile."""
        with suppress(Empty):
            spare = self._spares.get_nowait()
            if spare.process.poll() is None:
                return spare
            spare.close()
        return None

    def _open_spare(self) -> None:
        """Open the next one; if this fails, the client that needs it gets the error."""
        with self._opening, suppress(TaskError, OSError):
            if self._spares.empty() and not self._closed:
                self._spares.put(Dialled(self._start))
        if self._closed:
            self._close_spares()

    def _close_spares(self) -> None:
        with suppress(Empty):
            while True:
                self._spares.get_nowait().close()

    def _forward(self, client: socket.socket) -> None:
        """Pass bytes both ways until both sides have ended."""
        with client:
            spare = self._spare()
            threading.Thread(target=self._open_spare, daemon=True).start()
            try:
                dialled = spare or Dialled(self._start)
            except (TaskError, OSError) as error:
                client.recv(CHUNK)
                _refuse(client, str(error))
                return
            self._used.add(dialled)
            threading.Thread(target=_upstream, args=(client, dialled.socket), daemon=True).start()
            if not _copy(dialled.socket, client):
                _refuse(client, dialled.reason())
            self._used.discard(dialled)
            dialled.close()
            with suppress(OSError):
                # Otherwise the client sees no end as long as the other thread reads from it.
                client.shutdown(socket.SHUT_RDWR)


@contextmanager
def to_engine(start: Callable[..., subprocess.Popen[bytes]]) -> Iterator[str]:
    """Give the address of a server's Docker engine, on a private unix socket.

    Docker's own ssh:// addresses would make a connection for each call. `start` starts a command on
    the server; it is Host.start.
    """
    with files.folder() as folder, socket.socket(socket.AF_UNIX) as server:
        path = folder / "docker.sock"
        server.bind(str(path))
        with Tunnel(partial(start, DIAL), server):
            yield f"unix://{path}"


@contextmanager
def to_port(start: Start, port: int) -> Iterator[int]:
    """Give a port of 127.0.0.1, the given one or any for 0, that leads to what commands talk to.

    Raises TaskError if another program has that port.
    """
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("127.0.0.1", port))
        except OSError as error:
            hint = "choose another one: --port"
            raise TaskError(f"port {port}: {error.strerror}", hint, ExitCode.REFUSED) from None
        with Tunnel(start, server):
            yield int(server.getsockname()[1])


def _upstream(client: socket.socket, engine: socket.socket) -> None:
    _copy(client, engine)
    with suppress(OSError):
        engine.shutdown(socket.SHUT_WR)


def _copy(source: socket.socket, target: socket.socket) -> int:
    """Pass bytes on until a side ends; return how many."""
    done = 0
    with suppress(OSError):
        while chunk := source.recv(CHUNK):
            target.sendall(chunk)
            done += len(chunk)
    return done


def _refuse(client: socket.socket, why: str) -> None:
    """Answer as an engine would, so that the docker client prints, or a browser shows, why."""
    body = json.dumps({"message": why}).encode()
    head = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\nConnection: close\r\n"
    with suppress(OSError):
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
