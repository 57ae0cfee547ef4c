"""A server's Docker engine on a unix socket of this machine, over the open SSH connection."""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from .. import files

CHUNK = 32768


class DockerTunnel:
    """Listens on a private unix socket, and connects each client to the server's engine.

    On the server, `docker system dial-stdio` talks to the engine, as for docker's own ssh://
    addresses; those would make a connection, and check a host key, for each call. One channel is
    always opened in advance, so that the next client does not wait for it. `session` opens one.
    """

    def __init__(self, session: Callable[[], Any]) -> None:
        self._session = session
        self._folder = files.folder()
        self._server = socket.socket(socket.AF_UNIX)
        self._spares: SimpleQueue[Any] = SimpleQueue()
        # One thread at a time opens a spare channel.
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
        self._folder.__exit__(None, None, None)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _dial(self) -> Any:
        channel = self._session()
        channel.exec_command("docker system dial-stdio")
        return channel

    def _spare(self) -> Any:
        """Take the spare channel, unless it has ended meanwhile."""
        with suppress(Empty):
            spare = self._spares.get_nowait()
            return None if spare.closed or spare.eof_received else spare
        return None

    def _open_spare(self) -> None:
        """Open the next channel; if this fails, the client that needs it gets the error."""
        with self._opening, suppress(Exception):
            if self._spares.empty() and not self._closed:
                self._spares.put(self._dial())
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
                channel = spare or self._dial()
            except Exception as error:
                _refuse(client, error)
                return
            threading.Thread(target=_upstream, args=(client, channel), daemon=True).start()
            with suppress(OSError, EOFError):
                while chunk := channel.recv(CHUNK):
                    client.sendall(chunk)
                client.shutdown(socket.SHUT_WR)
            channel.close()


def _refuse(client: socket.socket, error: Exception) -> None:
    """Answer as an engine would, so that the docker client prints why there is none."""
    body = json.dumps({"message": str(error)}).encode()
    head = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\nConnection: close\r\n"
    with suppress(OSError):
        client.recv(CHUNK)
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def _upstream(client: socket.socket, channel: Any) -> None:
    try:
        while chunk := client.recv(CHUNK):
            channel.sendall(chunk)
        channel.shutdown_write()
    except (OSError, EOFError):
        channel.close()
