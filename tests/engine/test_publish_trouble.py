"""Registries that are slow, busy, half there, behind a token service, or behind a private CA."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tasks.lib.errors import TaskError
from tasks.lib.images import promotion
from tasks.lib.registry.client import Registry
from tasks.lib.registry.client import digest as digest_of
from tasks.lib.registry.credentials import Login
from tasks.lib.registry.reference import Reference
from tasks.lib.registry.session import Session
from tests.testbed import certificates
from tests.testbed.commands import environment, git, until
from tests.testbed.registries import serve

from .conftest import PASSWORD, USER, conf, htpasswd

pytestmark = pytest.mark.engine

BUSY = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
BROKEN = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"
DROPPED = b""
PULL, PUSH = frozenset({"pull"}), frozenset({"pull", "push"})


class Line:
    """The way to a registry, on which each new connection may meet with a fault, in turn."""

    def __init__(self, port: int) -> None:
        self.faults: list[bytes] = []
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if self.faults:
                threading.Thread(target=_fail, args=(near, self.faults.pop(0)), daemon=True).start()
                continue
            far = socket.create_connection(("127.0.0.1", self.target))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _fail(near: socket.socket, answer: bytes) -> None:
    near.recv(65536)
    near.sendall(answer)
    near.close()


def _pump(one: socket.socket, other: socket.socket) -> None:
    try:
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.fixture
def line(server) -> Iterator[Line]:
    found = Line(server.port)
    yield found
    found.listener.close()


def through(repository, host: str) -> dict[str, str]:
    """The variables that let the repository reach its registry at another address."""
    path = repository.image.partition("/")[2]
    return {"INVOKE_REGISTRY_IMAGE": f"{host}/{path}", "CI_REGISTRY": host}


@pytest.mark.parametrize(
    "fault", [BUSY, BROKEN, CUT, DROPPED], ids=["429", "503", "cut", "dropped"]
)
def test_a_request_that_fails_is_sent_again_until_it_does_not(repository, line, fault):
    digest = repository.build()
    promotion.mark_tested(repository.registry, digest)
    line.faults = [fault, fault]
    done = repository.inv("release", "--env=staging", **through(repository, line.host))
    assert done.returncode == 0, done.stderr
    assert line.faults == []
    assert repository.registry.digest("staging") == digest


@pytest.mark.slow
def test_a_registry_that_stays_busy_is_told_at_last(repository, line):
    line.faults = [BUSY] * 20
    done = repository.inv("images", **through(repository, line.host))
    assert done.returncode == 1
    assert f"{line.host} returned 429 to GET" in done.stderr.strip().splitlines()[-1]


def test_a_push_goes_on_over_faults(repository, line):
    line.faults = [DROPPED, BROKEN]
    digest = repository.build(**through(repository, line.host))
    assert repository.registry.digest("main") == digest


def test_a_release_that_was_cut_between_its_two_changes_is_finished_by_the_next(repository):
    registry = repository.registry
    digests = []
    for number in range(2):
        repository.commit(f"number {number}")
        digests.append(repository.build())
        promotion.mark_tested(registry, digests[-1])
        registry.put(["staging", "staging-previous"][number], registry.manifest(digests[0]))
    repository.must("release", "--env=staging")
    assert registry.digest("staging") == digests[1]
    assert registry.digest("staging-previous") == digests[0]


def test_an_interrupted_push_tags_nothing_and_the_next_one_succeeds(repository, line):
    (repository.root / "manage.py").write_bytes(os.urandom(80_000_000))
    git(repository.root, "commit", "--all", "--message", "big")
    env = environment(**{**repository.env, **through(repository, line.host)})
    child = subprocess.Popen(
        ["./inv", "build", "--push"], cwd=repository.root, env=env, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stderr is not None
    for said in child.stderr:
        if "pushing layer" in said and "MB" in said and not said.strip().endswith("done"):
            break
    os.killpg(child.pid, signal.SIGINT)
    _, rest = child.communicate(timeout=60)
    assert child.returncode == 130, rest
    assert "Traceback" not in rest
    commit = git(repository.root, "rev-parse", "HEAD")
    assert {commit, "main"} & set(repository.registry.tags()) == set()
    assert repository.registry.digest(commit) == ""
    assert repository.build() == repository.registry.digest("main")


@pytest.fixture
def private(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A registry with a login behind a private CA: its host, and the CA's file."""
    folder = tmp_path / "private"
    folder.mkdir()
    certificates.write(folder)
    tls = [
        "--env=REGISTRY_HTTP_TLS_CERTIFICATE=/conf/ca.pem",
        "--env=REGISTRY_HTTP_TLS_KEY=/conf/key.pem",
    ]
    with serve(*htpasswd(folder), *tls, scheme="https") as server:
        yield server.host, str(folder / "ca.pem")


def test_a_private_ca_is_trusted_when_it_is_named_and_only_then(repository, private):
    host, ca = private
    env = through(repository, host)
    repository.must("login", **env, INVOKE_REGISTRY_CA=ca)
    digest = repository.build(**env, INVOKE_REGISTRY_CA=ca)
    assert "main" in repository.must("images", **env, INVOKE_REGISTRY_CA=ca)
    image, login = Reference.parse(env["INVOKE_REGISTRY_IMAGE"]), Login(host, USER, PASSWORD, "")
    registry = Registry(image, Session(host, login, ca=ca))
    promotion.mark_tested(registry, digest)
    repository.must("release", "--env=staging", **env, INVOKE_REGISTRY_CA=ca)

    system = "/etc/ssl/certs/ca-certificates.crt"
    done = repository.inv("images", **env, INVOKE_REGISTRY_CA=system)
    assert done.returncode == 1
    assert (
        f"the certificate of {host} is not trusted - set registry.ca in invoke.yaml" in done.stderr
    )


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


class Tokens(BaseHTTPRequestHandler):
    """A token service as registries have them: a token for what was asked, to who has a login.

    Who logged in before has an identity token, and sends that in a form.
    """

    key: ec.EllipticCurvePrivateKey
    chain: str
    asked: list[tuple[str, frozenset[str]]]

    def do_GET(self) -> None:
        import base64

        query = parse_qs(urlsplit(self.path).query)
        wanted = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {wanted}":
            self.send_error(401)
            return
        self.grant(query)

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        kind, token = form["grant_type"], form["refresh_token"]
        if (kind, token) != (["refresh_token"], [PASSWORD]) or "Authorization" in self.headers:
            self.send_error(401)
            return
        self.grant(form)

    def grant(self, query: dict[str, list[str]]) -> None:
        access = []
        for scope in query.get("scope", []):
            kind, name, actions = scope.split(":")
            # A registry names the actions it wants in any order.
            self.asked.append((name, frozenset(actions.split(","))))
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        head = {"typ": "JWT", "alg": "ES256", "x5c": [self.chain]}
        body = {"iss": "tokens", "aud": "registry", "sub": USER, "nbf": now - 9, "iat": now}
        body |= {"exp": now + 300, "jti": str(now), "access": access}
        signed = ".".join(encoded(json.dumps(part).encode()) for part in (head, body))
        r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        token = f"{signed}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
        answer = json.dumps({"token": token}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[tuple[str, list[tuple[str, frozenset[str]]]]]:
    """A registry with a token service: its host, and the repositories and actions asked for."""
    folder = tmp_path / "tokens"
    folder.mkdir()
    certificates.write(folder)
    key = serialization.load_pem_private_key((folder / "key.pem").read_bytes(), None)
    lines = (folder / "ca.pem").read_text().strip().splitlines()[1:-1]
    handler = type("Handler", (Tokens,), {"key": key, "chain": "".join(lines), "asked": []})
    service = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    settings = {
        "": "token",
        "_TOKEN_REALM": f"http://127.0.0.1:{service.server_address[1]}/token",
        "_TOKEN_SERVICE": "registry",
        "_TOKEN_ISSUER": "tokens",
        "_TOKEN_ROOTCERTBUNDLE": "/conf/ca.pem",
    }
    words = [f"--env=REGISTRY_AUTH{key}={value}" for key, value in settings.items()]
    try:
        with serve(conf(folder), *words) as server:
            yield server.host, handler.asked
    finally:
        service.shutdown()
        service.server_close()


def test_a_registry_with_a_token_service_is_logged_in_to(repository, tokens):
    host, asked = tokens
    env = through(repository, host)
    digest = repository.build(**env)
    image = Reference.parse(env["INVOKE_REGISTRY_IMAGE"])
    registry = Registry(image, Session(host, Login(host, USER, PASSWORD, "the test")))
    promotion.mark_tested(registry, digest)
    repository.must("release", "--env=staging", **env)
    assert registry.digest("staging") == digest
    assert {actions for _, actions in asked} >= {PULL, PUSH}
    done = repository.inv("images", **env, CI_REGISTRY_PASSWORD="wrong")
    assert f"{host} denied the login as robot (from CI_REGISTRY_PASSWORD)" in done.stderr


def test_an_identity_token_is_changed_for_the_registrys_own(tokens):
    host, asked = tokens
    image = Reference.parse(f"{host}/group/app")
    registry = Registry(image, Session(host, Login(host, "", PASSWORD, "the test", token=True)))
    registry.put_blob(b"{}")
    assert registry.blob(digest_of(b"{}")) == b"{}"
    assert ("group/app", PUSH) in asked
    wrong = Session(host, Login(host, "", "wrong", "the test", token=True))
    with pytest.raises(TaskError, match="denied the login with an identity token"):
        wrong.request("GET", "/v2/")


def test_waiting_is_said(repository, line):
    line.faults = [DROPPED, DROPPED]
    done = repository.inv("images", **through(repository, line.host))
    assert f"{line.host} is unavailable or busy: retry 2 of 5" in done.stderr
    until(lambda: line.faults == [])
