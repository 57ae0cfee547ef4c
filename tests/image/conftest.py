"""The image, built once for all tests in this folder, and containers that are removed again."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.image.data_world import data_image, world  # noqa: F401
from tests.image.engine import LABELS, SETTINGS, Container
from tests.testbed.commands import ROOT, docker, until, works
from tests.testbed.project import ARGUMENTS

Start = Callable[..., Container]
# As base.yml runs the app.
LOCKED = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
QUICK = ["--health-interval=1s", "--health-timeout=2s", "--health-retries=1"]


@pytest.fixture(scope="session")
def mark() -> Iterator[str]:
    """A name of this test run's own; what bears it as a label is removed at the end."""
    name = f"image-test-{uuid.uuid4().hex[:8]}"
    yield name
    for kind, remove in (("ps --all", "rm --force --volumes"), ("network ls", "network rm")):
        left = docker(*kind.split(), "--quiet", f"--filter=label={name}").split()
        if left:
            docker(*remove.split(), *left)


@pytest.fixture(scope="session")
def build(mark: str) -> Iterator[Callable[[str], str]]:
    """Builds a stage of the Dockerfile, with labels, and gives the image's name."""
    made: set[str] = set()

    def run(stage: str) -> str:
        tag = f"{mark}:{stage}"
        arguments = [f"--build-arg={name.upper()}={value}" for name, value in LABELS.items()]
        arguments += [f"--target={stage}", f"--tag={tag}", *ARGUMENTS]
        docker("build", "--quiet", *arguments, ROOT)
        made.add(tag)
        return tag

    yield run
    if made:
        docker("image", "rm", "--force", *sorted(made))


@pytest.fixture(scope="session")
def image(build: Callable[[str], str]) -> str:
    """The released image."""
    return build("runtime")


def starter(mark: str, image: str) -> Iterator[Start]:
    """Starts containers with production's settings and locked down; removes them at the end."""
    started: list[str] = []

    def run(*command: str, options: Sequence[str] = (), **env: str) -> Container:
        variables = [f"--env={name}={value}" for name, value in {**SETTINGS, **env}.items()]
        flags = [f"--label={mark}", "--publish=127.0.0.1::8000", *LOCKED, *QUICK]
        started.append(docker("run", "--detach", *flags, *variables, *options, image, *command))
        return Container(started[-1])

    yield run
    if started:
        docker("rm", "--force", "--volumes", *started)


@pytest.fixture
def start(mark: str, image: str) -> Iterator[Start]:
    """Starts containers of the released image."""
    yield from starter(mark, image)


@pytest.fixture(scope="session")
def web(mark: str, image: str) -> Iterator[Container]:
    """A web server that answers, for tests that do it no harm."""
    for start in starter(mark, image):
        container = start()
        container.serves()
        yield container


def broker(mark: str, *command: str, options: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Start a Redis server, named `redis` in a network; gives the network and the container."""
    network = f"{mark}-{uuid.uuid4().hex[:4]}"
    docker("network", "create", f"--label={mark}", network)
    id = docker(
        "run", "--detach", f"--label={mark}", f"--network={network}", "--network-alias=redis",
        "--volume=/data", *options, "redis:8-trixie", *command,
    )  # fmt: skip
    until(works(lambda: docker("exec", id, "redis-cli", "ping")))
    yield network, id
    docker("rm", "--force", "--volumes", id)


@pytest.fixture
def redis(mark: str) -> Iterator[str]:
    """A network with a Redis server in it, of the name `redis`; gives the network's name."""
    for network, _ in broker(mark):
        yield network


@pytest.fixture
def kept_redis(mark: str, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The same with the command and password of a server; gives the network and the container."""
    files = [f"--file={ROOT / 'compose'}/{name}.yml" for name in ("base", "server")]
    shown = docker("compose", *files, "config", "--no-interpolate", "--format=json")
    command = json.loads(shown)["services"]["redis"]["command"]
    password = tmp_path / "password"
    password.write_text("a-password")
    mount = f"--mount=type=bind,source={password},target=/run/secrets/REDIS_PASSWORD,readonly"
    yield from broker(mark, *(part.replace("$$", "$") for part in command), options=[mount])
