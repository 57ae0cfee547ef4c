"""Recipes whose point is in the image: it is built, and run as a server runs it."""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.image.conftest import starter
from tests.image.engine import Container
from tests.image.proxies import Proxy, before
from tests.testbed import clones, recipes
from tests.testbed.commands import ROOT, Done, docker, until, works

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture
def mark() -> Iterator[str]:
    """A name for all that a test makes, with a network of that name."""
    name = f"recipe-test-{uuid.uuid4().hex[:8]}"
    docker("network", "create", f"--label={name}", name)
    yield name
    removing = {"ps --all": "rm --force --volumes", "network ls": "network rm"}
    for kind, remove in {**removing, "volume ls": "volume rm"}.items():
        if left := docker(*kind.split(), "--quiet", f"--filter=label={name}").split():
            docker(*remove.split(), *left)


@contextmanager
def built(root: Path, mark: str, *options: str) -> Iterator[str]:
    """Yield the released image of a project."""
    tag = f"{mark}:image"
    arguments = [f"--build-arg={k}={v}" for k, v in recipes.settings(root).app.variables().items()]
    docker("build", "--quiet", f"--tag={tag}", *arguments, *options, root)
    try:
        yield tag
    finally:
        docker("image", "rm", "--force", tag)


@pytest.fixture
def site(project: Path, mark: str, inv: Callable[..., Done]) -> Callable[..., Iterator[Proxy]]:
    """Runs the project, changed as a page says, behind the proxy."""

    @contextmanager
    def run(page: str, *volumes: str) -> Iterator[Proxy]:
        if "./inv requirements" in recipes.done_to(project, page):
            assert inv("requirements", root=project).returncode == 0
        with built(project, mark) as image, started(mark, image, *volumes) as web:
            served = f"--env=APP_SERVER={recipes.settings(project).app.server}"
            mounts = [f"--volume={volume.split(':')[0]}:/srv/media:ro" for volume in volumes]
            with before(web, mark, mark, ":80", served, *mounts) as proxy:
                yield proxy

    return run


@contextmanager
def started(mark: str, image: str, *volumes: str) -> Iterator[Container]:
    """Run the web server as `app` in the network."""
    mounts = [f"--volume={volume}" for volume in volumes]
    for start in starter(mark, image):
        options = [f"--network={mark}", "--network-alias=app", *mounts]
        web = start(options=options, SITE_URL="http://links.localhost")
        web.serves()
        yield web


def test_what_the_app_stores_is_served_by_the_proxy(site, mark):
    volume = docker("volume", "create", f"--label={mark}")
    with site("media", f"{volume}:/app/media") as proxy:
        store = "from django.core.files.storage import default_storage as s; import io; "
        store += "print(s.save('a/note.html', io.BytesIO(b'<b>Hello</b>')))"
        proxy.web.execute("/app/docker/entrypoint", "manage", "shell", "--command", store)
        answer = proxy.ask("/media/a/note.html")
        assert (answer.status, answer.read()) == (200, b"<b>Hello</b>")
        assert "sandbox" in (answer.getheader("Content-Security-Policy") or "")
        assert answer.getheader("Server") is None
        assert proxy.ask("/media/").status == 404
        assert proxy.ask("/media/../static/no").status == 404
        assert proxy.web.execute("sh", "-c", "touch /app/x; true").endswith("Read-only file system")


class WebSocket:
    """A connection to the site, which sends and gets short messages."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            b"GET /echo HTTP/1.1\r\nHost: links.localhost\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            + f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.socket.recv(1)
        self.status = head.split()[1].decode()

    def send(self, text: bytes) -> None:
        """Send a text, masked with zeros."""
        self.socket.sendall(bytes([0x81, 0x80 | len(text)]) + bytes(4) + text)

    def receive(self) -> tuple[int, bytes]:
        """The kind of the next message, and what it says."""
        kind, length = self.socket.recv(2)
        return kind & 0x0F, self.socket.recv(length)


def test_a_web_socket_works_through_the_proxy_and_ends_with_a_reason(site):
    with site("asgi") as proxy:
        talk = WebSocket(proxy.port(80))
        assert talk.status == "101"
        talk.send(b"Hello")
        assert talk.receive() == (1, b"Hello")
        assert proxy.ask("/").status == 200
        began = time.monotonic()
        proxy.web.stop()
        assert time.monotonic() - began < 10
        kind, reason = talk.receive()
        assert (kind, int.from_bytes(reason[:2])) == (8, 1012)
        assert proxy.web.state()["ExitCode"] == 0


PASSWORD = "correct-horse-battery"
WHEEL = "our_package-1.0-py3-none-any.whl"
# The files of a package that says hello.
PACKAGE = {
    "our_package.py": "HELLO = 'from the private index'\n",
    "our_package-1.0.dist-info/METADATA":
        "Metadata-Version: 2.1\nName: our-package\nVersion: 1.0\n",
    "our_package-1.0.dist-info/WHEEL":
        "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "our_package-1.0.dist-info/RECORD": "",
}  # fmt: skip


class Guarded(SimpleHTTPRequestHandler):
    """Serves files to whoever has the password."""

    def do_GET(self) -> None:
        """Answer with a file."""
        login = base64.b64encode(f"us:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") == f"Basic {login}":
            return super().do_GET()
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Basic realm=packages")
        return self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """The address of a private index with one package, as containers reach it."""
    folder = tmp_path / "index/simple/our-package"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        for name, text in PACKAGE.items():
            wheel.writestr(name, text)
    (folder / "index.html").write_text(f'<a href="{WHEEL}">{WHEEL}</a>')
    host = docker("network", "inspect", "bridge", "--format={{(index .IPAM.Config 0).Gateway}}")
    handler = partial(Guarded, directory=str(tmp_path / "index"))
    with ThreadingHTTPServer((host, 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://us:{PASSWORD}@{host}:{server.server_port}/simple"
        server.shutdown()


def test_a_package_of_a_private_index_is_in_the_image_and_its_password_is_not(
    project,
    index,
    inv,
    tmp_path,
):
    recipes.done_to(project, "private-index")
    done = inv("requirements", root=project, UV_INDEX=index)
    assert done.returncode == 0, done.stderr
    assert PASSWORD not in (project / "requirements/app.txt").read_text()
    commit = clones.commit(project, "locked")
    host = index.partition("@")[2].partition(":")[0]
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\nextra-index-url = {index}\ntrusted-host = {host}\n")
    image = f"registry.example.com/example/shop:{commit}"
    try:
        done = inv("build", root=project, PIP_CONFIG_FILE=str(config))
        assert done.returncode == 0, done.stderr
        say = "import our_package; print(our_package.HELLO)"
        assert docker("run", "--rm", image, "python", "-c", say) == "from the private index"
        left = ("sh", "-c", f"grep -rl {PASSWORD} / --exclude-dir=proc --exclude-dir=sys; true")
        assert docker("run", "--rm", "--user=0", "--entrypoint=", image, *left) == ""
        assert PASSWORD not in docker("history", "--no-trunc", image)
    finally:
        branch = f"{image.partition(':')[0]}:main"
        docker("image", "rm", "--force", image, branch)


@pytest.fixture
def stand_in(mark: str) -> Iterator[Callable[[str], str]]:
    """Builds the stand-in of an image that is not on this machine."""
    made = []

    def build(name: str) -> str:
        folder, tag = ROOT / "lab/images", f"{mark}:{name}"
        docker("build", "--quiet", f"--tag={tag}", f"--file={folder}/{name}.Dockerfile", folder)
        made.append(tag)
        return tag

    yield build
    if made:
        docker("image", "rm", "--force", *made)


@contextmanager
def server(service: str, overlay: str, image: str, mark: str, tmp_path: Path) -> Iterator[str]:
    """Run a backing service as server.yml and its overlays have it; its password is "secret"."""
    names = ("base", "server", overlay, f"{overlay}-server")
    files = [f"--file={ROOT / 'compose'}/{name}.yml" for name in names]
    shown = docker("compose", *files, "config", "--no-interpolate", "--format=json")
    made = json.loads(shown)["services"][service]
    (use,) = made["secrets"]
    password = tmp_path / use["source"]
    password.write_text("secret")
    password.chmod(0o444)
    words = [f"--env={key}={value}" for key, value in made["environment"].items()]
    words += [f"--volume={each['target']}" for each in made["volumes"]]
    words += [f"--{key.replace('_', '-')}={each}" for key in ("cap_drop", "cap_add")
              for each in made[key]]  # fmt: skip
    words += [f"--hostname={made.get('hostname', service)}", f"--network-alias={service}"]
    words += [f"--health-cmd={made['healthcheck']['test'][-1].replace('$$', '$')}"]
    words += ["--health-interval=1s", f"--volume={password}:/run/secrets/{use['source']}:ro"]
    command = [word.replace("$$", "$") for word in made["command"]]
    id = docker("run", "--detach", f"--network={mark}", *words, image, *command)
    try:
        until(lambda: docker("inspect", "--format={{.State.Health.Status}}", id) == "healthy", 60)
        yield id
    finally:
        docker("rm", "--force", "--volumes", id)


def test_valkey_serves_who_has_the_password_and_lets_nobody_administer_it(mark, stand_in, tmp_path):
    with server("redis", "broker-valkey", stand_in("valkey"), mark, tmp_path) as id:
        words = ["exec", "--env=REDISCLI_AUTH=secret", id, "valkey-cli", "--no-auth-warning"]
        assert docker(*words, "SET", "a", "1") == "OK"
        assert docker(*words, "GET", "a") == "1"
        assert "NOPERM" in docker(*words, "CONFIG", "GET", "*", both=True)
        assert "NOAUTH" in docker("exec", id, "valkey-cli", "GET", "a", both=True)
        assert docker("exec", id, "stat", "--format=%u", "/proc/1") == "999"


ENGINE = """

class Engine(TestCase):
    def test_the_database_is_mariadb(self) -> None:
        from django.db import connection

        self.assertTrue(connection.mysql_is_mariadb)
"""


@pytest.fixture
def mariadb(stand_in: Callable[[str], str]) -> Iterator[None]:
    """The image that database-mariadb.yml names: the real one if it is here, or the stand-in."""
    name = "mariadb:11.8"
    if docker("image", "ls", "--quiet", name):
        yield
        return
    docker("tag", stand_in("mariadb"), name)
    try:
        yield
    finally:
        docker("image", "rm", name)


@pytest.mark.usefixtures("mariadb")
def test_the_tests_run_on_mariadb(project, inv):
    recipes.done_to(project, "mysql")
    assert inv("requirements", root=project).returncode == 0
    with (project / "shop/tests/test_page.py").open("a") as file:
        file.write(ENGINE)
    try:
        done = inv("test", "--engine=docker", root=project, seconds=600)
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        images = docker("image", "ls", "--quiet", "--filter=reference=shop-shop-*-test")
        if images:
            docker("image", "rm", "--force", *images.split())


@pytest.fixture
def redis(mark: str) -> Iterator[None]:
    """A Redis in the network."""
    words = [f"--network={mark}", "--network-alias=redis", "redis:8-trixie"]
    id = docker("run", "--detach", *words)
    yield
    docker("rm", "--force", "--volumes", id)


@pytest.mark.usefixtures("redis")
def test_jobs_go_through_rabbitmq(project, mark, stand_in, tmp_path):
    recipes.done_to(project, "rabbitmq")
    variables = {
        "AMQP_URL": "amqp://app@rabbitmq:5672//", "RABBITMQ_PASSWORD": "secret",
        "REDIS_URL": "redis://redis:6379/0",
    }  # fmt: skip
    rabbit = server("rabbitmq", "broker-rabbitmq", stand_in("rabbitmq"), mark, tmp_path)
    with rabbit as id, built(project, mark) as image:
        for start in starter(mark, image):
            roles = [start(role, options=[f"--network={mark}"], **variables)
                     for role in ("worker", "beat")]  # fmt: skip
            worker, beat = roles
            beat.prints("Says when jobs are due")
            send = "from shop.tasks import add; add.delay(20, 22); add.delay('a', 1)"
            worker.execute("/app/docker/entrypoint", "manage", "shell", "--command", send)
            worker.prints("succeeded in")
            assert ": 42" in worker.logs()
            worker.becomes("healthy")
            beat.becomes("healthy")
            found = json.loads(worker.execute("/app/docker/entrypoint", "jobs").splitlines()[-1])
            assert found["queues"] == {"celery": 0}
            assert [failure["error"] for failure in found["failures"]] == ["TypeError"]
            assert worker.stop() < 10 and worker.state()["ExitCode"] == 0
            # Without a worker they wait, also for a RabbitMQ that starts again.
            beat.execute("/app/docker/entrypoint", "manage", "shell", "--command", send)
            docker("restart", id)
            ask = ["exec", id, "rabbitmqctl", "--quiet", "list_queues", "name", "messages"]
            until(works(partial(docker, *ask)), 60)
            assert "celery\t2" in docker(*ask)
