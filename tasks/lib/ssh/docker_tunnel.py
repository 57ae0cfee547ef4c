"""A server's Docker engine behind a socket of this machine, over the SSH connection there is."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from .. import files

if TYPE_CHECKING:
    from paramiko import Channel

CHUNK = 32768


class DockerTunnel:
    """Listens on a private unix socket while in use, and joins each caller to the engine.

    On the server it is `docker system dial-stdio` that speaks to the engine, as with docker's own
    ssh:// addresses; those would need a connection and a host key check of their own for each call.
    One is always begun ahead: the next caller waits neither for the way there nor for its start.

    Args:
        session: opens a channel for a command on the server.
    """

    def __init__(self, session: Callable[[], Channel]) -> None:
        self._session = session
        self._folder = files.folder()
        self._server = socket.socket(socket.AF_UNIX)
        self._spares: SimpleQueue[Channel] = SimpleQueue()
        # Held while one is begun.
        self._beginning = threading.Lock()
        self._ended = False

    def __enter__(self) -> str:
        path = self._folder.__enter__() / "docker.sock"
        self._server.bind(str(path))
        self._server.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()
        threading.Thread(target=self._begin, daemon=True).start()
        return f"unix://{path}"

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._server.close()
        self._close_spares()
        self._folder.__exit__(None, None, None)

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(caller,), daemon=True).start()

    def _dial(self) -> Channel:
        channel = self._session()
        channel.exec_command("docker system dial-stdio")
        return channel

    def _take(self) -> Channel | None:
        """The spare one, unless there is none or it has ended meanwhile."""
        with suppress(Empty):
            spare = self._spares.get_nowait()
            return None if spare.closed or spare.eof_received else spare
        return None

    def _begin(self) -> None:
        """Begin the next; that this fails is told to who needs it then."""
        with self._beginning, suppress(Exception):
            if self._spares.empty() and not self._ended:
                self._spares.put(self._dial())
        if self._ended:
            self._close_spares()

    def _close_spares(self) -> None:
        with suppress(Empty):
            while True:
                self._spares.get_nowait().close()

    def _join(self, caller: socket.socket) -> None:
        """Pass bytes both ways until both sides have ended."""
        with caller:
            spare = self._take()
            threading.Thread(target=self._begin, daemon=True).start()
            try:
                channel = spare or self._dial()
            except Exception as error:
                _refuse(caller, error)
                return
            up = threading.Thread(target=_upstream, args=(caller, channel), daemon=True)
            up.start()
            try:
                while chunk := channel.recv(CHUNK):
                    caller.sendall(chunk)
                caller.shutdown(socket.SHUT_WR)
            except (OSError, EOFError):
                pass
            channel.close()


def _refuse(caller: socket.socket, error: Exception) -> None:
    """Tell the docker that called why there is no engine: it says so, as if that had answered."""
    body = json.dumps({"message": str(error)}).encode()
    head = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\nConnection: close\r\n"
    try:
        caller.recv(CHUNK)
        caller.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    except OSError:
        pass


def _upstream(caller: socket.socket, channel: Channel) -> None:
    try:
        while chunk := caller.recv(CHUNK):
            channel.sendall(chunk)
        channel.shutdown_write()
    except (OSError, EOFError):
        channel.close()
