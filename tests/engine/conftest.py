"""A real registry with a login, and repositories with a small image to publish in it."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import pytest

from tasks.lib.registry.client import Registry
from tests.testbed.commands import docker, git
from tests.testbed.registries import Server, client, serve

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


def conf(folder: Path) -> str:
    """What gives a registry a folder with its configuration files."""
    return f"--volume={folder}:/conf:ro"


def htpasswd(folder: Path) -> list[str]:
    """What makes a registry ask for USER and PASSWORD; folder is for its configuration files."""
    mark = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode()
    (folder / "htpasswd").write_text(f"{USER}:{mark}\n")
    settings = {"": "htpasswd", "_HTPASSWD_REALM": "test", "_HTPASSWD_PATH": "/conf/htpasswd"}
    return [conf(folder), *(f"--env=REGISTRY_AUTH{key}={value}" for key, value in settings.items())]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A registry that wants a login."""
    with serve(*htpasswd(tmp_path_factory.mktemp("registry"))) as server:
        yield server


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
        return client(self.image, USER, PASSWORD)


@pytest.fixture
def repository(server: Server, clone: Path, inv, tmp_path) -> Iterator[Repository]:
    """A repository on the branch main, whose login comes from CI's variables."""
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
