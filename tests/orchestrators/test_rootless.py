"""One Docker host whose engine is rootless: a real one, in a container of this machine."""

from __future__ import annotations

import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.lib.orchestrators.compose import preflight
from tasks.lib.orchestrators.compose.files import Files
from tests.testbed.commands import docker, until

from .compose_world import EngineHost
from .test_replacement import APP, DATABASE, SLEEP, Small

pytestmark = [pytest.mark.engine, pytest.mark.slow]
FLAGS = (
    *("--cap-add=ALL", "--cgroupns=host", "--device-cgroup-rule=a *:* rwm"),
    *(f"--security-opt={what}=unconfined" for what in ("seccomp", "apparmor", "systempaths")),
    *("--device=/dev/net/tun", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw"),
)


class RootlessHost(EngineHost):
    """A server whose commands run as the user of its rootless engine."""

    def __init__(self, name: str, home: Path) -> None:
        super().__init__(home)
        self.name = name

    def run(self, script: str, *arguments: str, text: str = "", **_: Any) -> str:
        """Run a shell script; see ssh.host.Host.run."""
        words = ("--interactive", "--user=deploy", self.name, "sh", "-c", script, "inv")
        return docker("exec", *words, *arguments, text=text)

    def start(self, command: str, **streams: Any) -> subprocess.Popen[bytes]:
        """Start a command; see ssh.host.Host.start."""
        words = ["docker", "exec", "--user=deploy", self.name, "sh", "-c", command]
        self.begun.append(subprocess.Popen(words, start_new_session=True, **streams))
        return self.begun[-1]


@pytest.fixture(scope="module")
def small() -> Iterator[Small]:
    """A small stack of a server with a rootless engine, to which nothing was deployed yet."""
    name = f"rootless-{uuid.uuid4().hex[:6]}"
    file = Path(__file__).with_name("rootless.Dockerfile")
    docker("build", "--tag", name, "-", text=file.read_text())
    with tempfile.TemporaryDirectory(prefix="rootless-") as folder:
        try:
            docker(
                "run", "--detach", "--name", name, *FLAGS, f"--volume={folder}:/run/user/1000", name
            )
            env = {"DOCKER_HOST": f"unix://{folder}/docker.sock"}
            until(lambda: answers(env), 60)
            images = f"docker save {APP} {DATABASE} | DOCKER_HOST={env['DOCKER_HOST']} docker load"
            subprocess.run(["sh", "-c", images], check=True, capture_output=True)
            yield Small(RootlessHost(name, Path(folder) / "home"), env)
        finally:
            print(docker("logs", "--tail=20", name, both=True))
            docker("rm", "--force", "--volumes", name)
            docker("image", "rm", "--force", name)


def answers(env: dict[str, str]) -> bool:
    """Whether the engine answers."""
    try:
        return "rootless" in docker("info", "--format={{.SecurityOptions}}", env=env)
    except RuntimeError:
        return False


def test_a_rootless_engine_rolls_out_replaces_and_keeps_secrets_for_their_reader(small):
    secret = Files(small.server).set_secret("KEY", "value")
    for _ in range(2):
        stack = small.stack(SLEEP)
        stack.content["secrets"] = {"KEY": {"external": True, "name": secret}}
        use = {"source": "KEY", "uid": "10001", "gid": "10001", "mode": 0o400}
        readable = {"test": ["CMD", "test", "-r", "/run/secrets/KEY"], "interval": "500ms"}
        app = {"user": "10001:10001", "secrets": [use], "healthcheck": readable}
        stack.content["services"]["app"] |= app
        assert small.roll(small.rollout(stack)) == ""
        (database,), (replica,) = small.running("db"), small.running("app")
        assert {database.release, replica.release} == {str(small.release)}
    others = ("exec", "--user=10002:10002", replica.id, "cat", "/run/secrets/KEY")
    with pytest.raises(RuntimeError, match="ermission denied"):
        docker(*others, env=small.env)
    small.remove()


def test_limits_that_a_rootless_engine_does_not_keep_are_found(small):
    kept = small.server.info()["MemoryLimit"]
    found = preflight.problems(small.server, [small.host], 0)
    assert any("keeps no limit of memory" in line for line in found) is not kept
