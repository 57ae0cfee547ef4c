"""A server's Docker engine on a unix socket of this machine, over the open SSH connection."""

import json
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from tempfile import TemporaryFile
from typing import IO

from .. import files
from ..errors import TaskError, last_line

CHUNK = 32768
# On the server, it talks to the engine, as for docker's own ssh:// addresses.
DIAL = "docker system dial-stdio"
# Seconds in which a command ends after its output did.
ENDING = 5


class Dialled:
    """A way to the engine: a command on the server, with its stdin and stdout as one socket."""

    def __init__(self, start: Callable[..., subprocess.Popen[bytes]]) -> None:
        self.socket, theirs = socket.socketpair()
        self._errors: IO[bytes] = TemporaryFile()  # noqa: SIM115 - close() closes it
        with theirs:
            self.process = start(DIAL, stdin=theirs, stdout=theirs, stderr=self._errors)

    def reason(self) -> str:
        """Return why the command has ended."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(ENDING)
        self._errors.seek(0)
        said = last_line(self._errors.read().decode(errors="replace"))
        return said or f"{DIAL}: exit status {self.process.poll()}"

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


class DockerTunnel:
    """Listens on a private unix socket, and connects each client to the server's engine.

    Docker's own ssh:// addresses would make a connection for each call. One way to the engine is
    always opened in advance, so that the next client does not wait for it. `start` starts a command
    on the server; it is Host.start.
    """

    def __init__(self, start: Callable[..., subprocess.Popen[bytes]]) -> None:
        self._start = start
        self._folder = files.folder()
        self._server = socket.socket(socket.AF_UNIX)
        self._spares: SimpleQueue[Dialled] = SimpleQueue()
        self._used: set[Dialled] = set()
        # One thread at a time opens a spare one.
        self._opening = threading.Lock()
        self._closed = False

    def __enter__(self) -> str:
        path = self._folder.__enter__() / "docker.sock"
        self._server.bind(str(path))
        self._server.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()
        threading.Thread(target=self._open_spare, daemon=True).start()
        return f"unix://{path}"

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._server.close()
        self._close_spares()
        for each in [*self._used]:
            each.end()
        self._folder.__exit__(None, None, None)

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
    """Answer as an engine would, so that the docker client prints why there is none."""
    body = json.dumps({"message": why}).encode()
    head = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\nConnection: close\r\n"
    with suppress(OSError):
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
