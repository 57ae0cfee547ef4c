"""A real registry with a login, and repositories with a small image to publish in it."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import pytest

from tasks.lib.registry.client import Registry
from tasks.lib.registry.credentials import Login
from tasks.lib.registry.reference import Reference
from tasks.lib.registry.session import Session
from tests.conftest import free_port

ROOT = Path(__file__).resolve().parents[2]
USER, PASSWORD = "robot", "a $ecret: with signs"
DOCKERFILE = """\
FROM scratch AS deps
COPY requirements/app.txt /deps

FROM scratch AS prepared
COPY --from=deps /deps /deps
COPY myapp/static /static

FROM prepared AS runtime
COPY manage.py /
CMD ["/manage.py"]
ARG REVISION=dev VERSION=dev CREATED= SOURCE=
LABEL org.opencontainers.image.source=$SOURCE \\
      org.opencontainers.image.revision=$REVISION \\
      org.opencontainers.image.version=$VERSION \\
      org.opencontainers.image.created=$CREATED
"""


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def git(root: Path, *words: str, **env: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *words]
    done = subprocess.run(
        command, cwd=root, env={**os.environ, **env}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


@contextmanager
def own_engine(
    folder: Path, *options: str, daemon: tuple[str, ...] = ()
) -> Iterator[tuple[str, str]]:
    """An engine of its own, in a container: the container's name, and the engine's address.

    Args:
        folder: where its socket is to be.
        options: more of `docker run`.
        daemon: more of its dockerd.
    """
    name = f"test-engine-{uuid.uuid4().hex[:8]}"
    docker("build", "--quiet", "--tag", name, f"--file={ROOT}/lab/images/node.Dockerfile",
           f"{ROOT}/lab/images")  # fmt: skip
    rights = ["seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"]
    docker(
        "run", "--detach", "--name", name, "--cap-add", "ALL", "--cgroupns", "host",
        "--device-cgroup-rule", "a *:* rwm", *(f"--security-opt={each}" for each in rights),
        "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "--volume", f"{folder}:/shared",
        *options, name, "-H", "unix:///var/run/docker.sock",
        "-H", "unix:///shared/docker.sock", *daemon,
    )  # fmt: skip
    address = f"unix://{folder}/docker.sock"
    try:
        command = ["docker", "--host", address, "version"]
        until(lambda: subprocess.run(command, capture_output=True).returncode == 0)
        yield name, address
    finally:
        docker("rm", "--force", "--volumes", name)
        docker("image", "rm", "--force", name)


@dataclass
class Server:
    """A registry in a container, at a port of this machine that stays its own."""

    container: str
    port: int
    scheme: str = "http"
    ca: str = ""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        docker("stop", "--time", "0", self.container)

    def start(self) -> None:
        docker("start", self.container)
        until(self.answers)

    def answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", self.port)):
                return False
        if self.scheme == "https":
            return True
        try:
            urllib.request.urlopen(f"http://{self.host}/", timeout=2).close()
        except OSError:
            return False
        return True


def serve(folder: Path, *options: str, scheme: str = "http") -> Iterator[Server]:
    """Run a registry whose configuration files are in a folder, mounted at /conf."""
    server = Server(f"test-registry-{uuid.uuid4().hex[:8]}", free_port(), scheme)
    docker(
        "run", "--detach", "--name", server.container, "--publish", f"{server.host}:5000",
        "--volume", f"{folder}:/conf:ro", "--env", "REGISTRY_STORAGE_DELETE_ENABLED=true",
        *options, "registry:2",
    )  # fmt: skip
    try:
        until(server.answers)
        yield server
    finally:
        docker("rm", "--force", "--volumes", server.container)


def htpasswd(folder: Path) -> list[str]:
    """What makes a registry ask for USER and PASSWORD."""
    mark = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode()
    (folder / "htpasswd").write_text(f"{USER}:{mark}\n")
    settings = {"": "htpasswd", "_HTPASSWD_REALM": "test", "_HTPASSWD_PATH": "/conf/htpasswd"}
    return [f"--env=REGISTRY_AUTH{key}={value}" for key, value in settings.items()]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A registry that wants a login."""
    folder = tmp_path_factory.mktemp("registry")
    yield from serve(folder, *htpasswd(folder))


@dataclass
class Repository:
    """A clone with a small image, its place in a registry, and `./inv` in it."""

    root: Path
    image: str
    run: Callable[..., subprocess.CompletedProcess[str]]
    env: dict[str, str] = field(default_factory=dict)

    def inv(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.run(*words, root=self.root, **{**self.env, **env})

    def must(self, *words: str, **env: str) -> str:
        """Run a task that succeeds; returns what it printed to stdout."""
        done = self.inv(*words, **env)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, text: str) -> str:
        """Change what the image has, and commit, a second after the commit before; returns it."""
        with (self.root / "manage.py").open("a") as file:
            file.write(f"# {text}\n")
        then = int(git(self.root, "log", "-1", "--format=%ct")) + 1
        git(self.root, "commit", "--all", "--message", text, GIT_COMMITTER_DATE=f"{then} +0000")
        return git(self.root, "rev-parse", "HEAD")

    def build(self, *words: str, **env: str) -> str:
        """Build and push; returns the digest."""
        return self.must("build", "--push", *words, **env).rpartition("@")[2]

    @property
    def registry(self) -> Registry:
        """Their registry, asked by the test itself."""
        image = Reference.parse(self.image)
        return Registry(image, Session(image.host, Login(image.host, USER, PASSWORD, "the test")))


@pytest.fixture
def repository(server: Server, clone: Path, inv, tmp_path, monkeypatch) -> Iterator[Repository]:
    """A repository on the branch main, whose login comes from CI's variables."""
    for name in list(os.environ):
        if name.startswith(("CI_", "GITHUB_")):
            monkeypatch.delenv(name)
    (clone / "Dockerfile").write_text(DOCKERFILE)
    git(clone, "commit", "--all", "--message", "a small image")
    image = f"{server.host}/group/sub-{uuid.uuid4().hex[:8]}/app"
    env = {
        "INVOKE_REGISTRY_IMAGE": image,
        "CI_REGISTRY": server.host,
        "CI_REGISTRY_USER": USER,
        "CI_REGISTRY_PASSWORD": PASSWORD,
        "DOCKER_CONFIG": str(tmp_path / "docker-config"),
    }
    yield Repository(clone, image, inv, env)
    # By name, at whatever address: another repository may have the very same image.
    mine = f"reference=*/{image.partition('/')[2]}"
    shown = "{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}"
    lines = docker("images", "--digests", "--format", shown, "--filter", mine).splitlines()
    pairs = [line.split(" ") for line in lines]
    names = {digest if tag.endswith(":<none>") else tag for tag, digest in pairs}
    if names:
        docker("rmi", *names)
