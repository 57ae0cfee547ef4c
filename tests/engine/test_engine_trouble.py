"""An engine that goes away amid the work, and one without space: one line each, nothing left."""

from __future__ import annotations

import socket
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.testbed.commands import docker, environment, until
from tests.testbed.engines import BASE, own_engine

pytestmark = pytest.mark.engine


class Line:
    """A way to the engine, over a socket in a folder, that can be cut."""

    def __init__(self, folder: Path, engine: str) -> None:
        self.address, self._engine = f"unix://{folder}/docker.sock", engine
        self._open: list[socket.socket] = [socket.socket(socket.AF_UNIX)]
        self._open[0].bind(f"{folder}/docker.sock")
        self._open[0].listen(32)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                here = self._open[0].accept()[0]
            except OSError:
                return
            there = socket.socket(socket.AF_UNIX)
            there.connect(self._engine)
            self._open += [here, there]
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=pump, args=(one, other), daemon=True).start()

    def cut(self) -> None:
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while chunk := one.recv(65536):
            other.sendall(chunk)
        other.shutdown(socket.SHUT_WR)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """A way to this machine's engine."""
    address = docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    made = Line(tmp_path, address.removeprefix("unix://"))
    yield made
    made.cut()


def running(mark: str) -> bool:
    """Whether a process of this machine, also one in a container, has a word in its command."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    return any(line.split()[:2] == ["sleep", mark] for line in listed.splitlines())


@pytest.mark.parametrize("task", [["dev", "--engine=docker"], ["build"]])
def test_an_engine_that_goes_away_amid_a_build(clone, line, task):
    mark = f"61.{uuid.uuid4().int % 10**9}"
    file = clone / "Dockerfile"
    step = f"RUN sleep {mark}\n"
    text = file.read_text().replace("FROM test AS dev\n", f"FROM test AS dev\n{step}")
    file.write_text(text.replace("FROM base AS prepared\n", f"FROM base AS prepared\n{step}"))
    child = subprocess.Popen(
        ["./inv", *task], cwd=clone, env=environment(DOCKER_HOST=line.address), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    until(lambda: running(mark) or child.poll() is not None, 120)
    line.cut()
    said = child.communicate(timeout=60)[0]
    assert child.returncode == 1, said
    assert "Traceback" not in said
    assert said.strip().splitlines()[-1].startswith("inv: docker "), said
    until(lambda: not running(mark), 60)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[str]:
    """The address of an engine of its own that has the base image, and hardly any space left."""
    place = "--tmpfs=/var/lib/docker:size=450m,exec,dev,suid"
    with own_engine(tmp_path, place) as engine:
        engine.load(BASE, tmp_path / "base.tar")
        leave = "df -k --output=avail /var/lib/docker | tail -n 1"
        fill = f"fallocate -l $(($({leave}) - 20000))K /var/lib/docker/filler"
        docker("exec", engine.name, "sh", "-c", fill)
        yield engine.address


def test_no_space_for_a_build(clone, small, inv):
    done = inv("build", root=clone, DOCKER_HOST=small)
    assert done.returncode == 1
    assert "no space left on device" in (done.stdout + done.stderr).lower()
    assert done.stderr.strip().splitlines()[-1].startswith("inv: docker build: ")
