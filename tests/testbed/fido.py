"""A FIDO authenticator in software: an agent that signs as a security key does."""

from __future__ import annotations

import socketserver
import struct
import threading
from base64 import encodebytes
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

KIND, APPLICATION = b"sk-ssh-ed25519@openssh.com", b"ssh:"
# What the device says of its user: touched it, and entered its PIN.
TOUCHED, VERIFIED = 1, 4
# Messages of the agent's protocol (draft-miller-ssh-agent).
FAILURE, LIST, LISTED, SIGN, SIGNED = 5, 11, 12, 13, 14


def string(data: bytes) -> bytes:
    """Bytes with their length, as SSH writes them."""
    return struct.pack(">I", len(data)) + data


def strings(data: bytes) -> Iterator[bytes]:
    """The strings that follow each other."""
    while len(data) >= 4:
        (size,) = struct.unpack(">I", data[:4])
        yield data[4 : 4 + size]
        data = data[4 + size :]


class Token:
    """A security key with one key pair."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        point = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._point = string(KIND) + string(point)
        self.blob = self._point + string(APPLICATION)

    def sign(self, data: bytes, flags: int) -> bytes:
        """Sign, and say of the user what the flags say (PROTOCOL.u2f of OpenSSH)."""
        state = struct.pack(">BI", flags, 1)
        signed = sha256(APPLICATION).digest() + state + sha256(data).digest()
        return string(KIND) + string(self._key.sign(signed)) + state

    def file(self) -> str:
        """The private file, which only names the key in the device."""
        inner = struct.pack(">II", 1, 1) + self.blob + bytes([TOUCHED])
        inner += string(b"handle") + string(b"") + string(b"")
        inner += bytes(range(1, 8 - len(inner) % 8 + 1)) if len(inner) % 8 else b""
        head = string(b"none") + string(b"none") + string(b"") + struct.pack(">I", 1)
        whole = b"openssh-key-v1\0" + head + string(self.blob) + string(inner)
        kind = "OPENSSH PRIVATE KEY"
        return f"-----BEGIN {kind}-----\n{encodebytes(whole).decode()}-----END {kind}-----\n"


@contextmanager
def plugged_in(socket: Path, token: Token, flags: int) -> Iterator[Path]:
    """An agent that knows a token, whose user does what the flags say; gives its socket."""

    class Agent(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while len(head := self.rfile.read(4)) == 4:
                request = self.rfile.read(struct.unpack(">I", head)[0])
                self.wfile.write(string(self.reply(request)))

        def reply(self, request: bytes) -> bytes:
            if request[0] == LIST:
                return bytes([LISTED]) + struct.pack(">I", 1) + string(token.blob) + string(b"")
            if request[0] == SIGN:
                _, data, *_ = strings(request[1:])
                return bytes([SIGNED]) + string(token.sign(data, flags))
            return bytes([FAILURE])

    with socketserver.ThreadingUnixStreamServer(str(socket), Agent) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield socket
        finally:
            server.shutdown()
