"""How a request gets to its address: straight, through a proxy, or by redirects."""

from __future__ import annotations

import http.client
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

import pytest

from tasks.lib import executor, http_client
from tasks.lib.environments import healthcheck
from tasks.lib.errors import TaskError
from tasks.lib.registry.credentials import Login
from tasks.lib.registry.session import Session

LOGIN = http_client.basic("me", "a $ecret: with signs")


class Site(BaseHTTPRequestHandler):
    """Answers what it was asked: the path, the login. /to/URL redirects to that."""

    def do_GET(self) -> None:
        there = self.path.removeprefix("/to/")
        text = f"{self.path} {self.headers.get('Authorization')}".encode()
        self.send_response(200 if there == self.path else 307)
        self.send_header("Location", there)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


class Proxy(Site):
    """A proxy that wants a login, and tells that an answer went through it."""

    def do_GET(self) -> None:
        where = urlsplit(self.path)
        if self.headers.get("Proxy-Authorization") != LOGIN:
            self.send_error(407)
            return
        there = http.client.HTTPConnection(where.netloc)
        there.request("GET", where.path, headers={"Host": where.netloc})
        answer = there.getresponse().read() + b" by the proxy"
        there.close()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_CONNECT(self) -> None:
        self.send_error(407)


@pytest.fixture
def serve() -> Iterator[Callable[[type[BaseHTTPRequestHandler]], str]]:
    """Starts a server; gives its host and port."""
    servers: list[ThreadingHTTPServer] = []

    def start(handler: type[BaseHTTPRequestHandler]) -> str:
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"127.0.0.1:{servers[-1].server_address[1]}"

    yield start
    for each in servers:
        each.shutdown()
        each.server_close()


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def proxy(serve, monkeypatch: pytest.MonkeyPatch) -> str:
    """A proxy for everything, with its login in its address; gives its host and port."""
    host = serve(Proxy)
    address = f"http://me:a%20%24ecret%3A%20with%20signs@{host}"
    monkeypatch.setenv("HTTP_PROXY", address)
    monkeypatch.setenv("https_proxy", address)
    return host


def test_a_registry_is_asked_through_the_proxy_with_its_login(serve, proxy):
    answer = Session(serve(Site)).request("GET", "/v2/")
    assert answer is not None
    assert answer.data == b"/v2/ None by the proxy"


LOCAL = ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1", "http://app.localhost:1"]


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("url", LOCAL)
def test_what_is_on_this_machine_is_asked_straight(monkeypatch, variable, url):
    env = {variable: "http://proxy.example:3128", "NO_PROXY": "intranet.example"}
    executor.spare_local(env)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert http_client.proxy(url) == ""
    assert proxy_bypass(urlsplit(url).netloc)
    assert http_client.proxy("http://intranet.example") == ""
    assert http_client.proxy("http://elsewhere.example") == "http://proxy.example:3128"


def test_without_a_proxy_no_variable_is_set():
    env = {"PATH": "/bin"}
    executor.spare_local(env)
    assert env == {"PATH": "/bin"}


@pytest.mark.parametrize("straight", ["127.0.0.1", "localhost,127.0.0.0/8", "*"])
def test_what_no_proxy_names_is_asked_straight(serve, proxy, monkeypatch, straight):
    monkeypatch.setenv("NO_PROXY", straight)
    assert http_client.HttpClient().send("GET", f"http://{serve(Site)}/a").data == b"/a None"


def test_a_redirect_goes_through_the_proxy_of_where_it_leads(serve, proxy, monkeypatch):
    first, second = serve(Site), serve(Site)
    monkeypatch.setenv("NO_PROXY", first)
    answer = http_client.HttpClient().send("GET", f"http://{first}/to/http://{second}/b")
    assert answer.data == b"/b None by the proxy"


def test_a_proxy_that_refuses_is_told_as_the_cause(serve, proxy, monkeypatch):
    with pytest.raises(TaskError, match=r"\(its proxy: 407 Proxy Authentication Required\)"):
        Session("registry.invalid").request("GET", "/v2/")
    monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:1")
    assert "unsupported scheme socks5" in healthcheck.ask("http://127.0.0.1:1").failure


def test_a_login_is_sent_on_to_the_same_host_only(serve):
    first, second = serve(Site), serve(Site)
    login = {"Authorization": LOGIN}
    same = http_client.HttpClient().send("GET", f"http://{first}/to//a", headers=login)
    other = http_client.HttpClient().send(
        "GET", f"http://{first}/to/http://{second}/a", headers=login
    )
    assert same.data == f"/a {LOGIN}".encode()
    assert other.data == b"/a None"


def test_redirects_in_a_circle_end(serve):
    class Circle(Site):
        def do_GET(self) -> None:
            self.path = "/to//again"
            super().do_GET()

    assert (
        "does not answer: more than 10 redirects"
        in healthcheck.ask(f"http://{serve(Circle)}").failure
    )


def test_the_users_netrc_is_never_read(serve, tmp_path: Path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert http_client.HttpClient().send("GET", f"http://{serve(Site)}/a").data == b"/a None"


def test_a_token_that_is_over_is_renewed_with_the_login(serve):
    class Registry(Site):
        """Gives tokens itself, each good for one request."""

        given: list[str] = []
        good: set[str] = set()

        def do_GET(self) -> None:
            said = self.headers.get("Authorization", "")
            if self.path.startswith("/token") and said == LOGIN:
                self.given.append(f"t{len(self.given)}")
                self.good.add(f"Bearer {self.given[-1]}")
                self.answer(200, f'{{"token": "{self.given[-1]}"}}')
            elif said in self.good:
                self.good.remove(said)
                self.answer(200, said)
            else:
                self.answer(401, "")

        def answer(self, status: int, text: str) -> None:
            realm = f"http://{self.headers['Host']}/token?a=b"
            self.send_response(status)
            self.send_header("WWW-Authenticate", f'Bearer realm="{realm}",scope="x:pull,push"')
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

    host = serve(Registry)
    registry = Session(host, Login(host, "me", "a $ecret: with signs", "the test"))
    said = [registry.request("GET", "/v2/") for _ in range(2)]
    assert [each and each.data for each in said] == [b"Bearer t0", b"Bearer t1"]
