"""What tests of deploys share: a site in a lab, tasks run for it, load on it, what came of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tasks.lib.errors import TaskError
from tasks.lib.images import promotion
from tasks.lib.registry.client import Registry
from tasks.lib.registry.credentials import Login
from tasks.lib.registry.reference import Reference
from tasks.lib.registry.session import Session

from .load import Load

Exports = dict[str, str]
# A view that the site's app has for the tests: five seconds in flight.
SLOW = """
def slow(request):
    import time
    from django.http import HttpResponse
    time.sleep(5)
    return HttpResponse("done")


urlpatterns.insert(0, path("slow", slow))
"""


def docker(*words: str, text: str = "", env: Exports | None = None) -> str:
    """What docker prints, here."""
    done = subprocess.run(
        ["docker", *words], input=text, env={**os.environ, **(env or {})},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def git(root: Path, *words: str) -> str:
    """What git prints in a clone."""
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    done = subprocess.run(["git", *who, *words], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """Wait for a condition, and return what it gave. Fails when it does not come."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)
    return found


class Run:
    """A task that runs, or has ended; its lines of both outputs, with the time that each came."""

    def __init__(self, command: list[str], root: Path, env: Exports) -> None:
        self.began, self.ended = time.time(), 0.0
        self.lines: list[tuple[float, str]] = []
        self._left = False
        self.process = subprocess.Popen(
            command, cwd=root, env=env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as lines:
            for line in lines:
                self.lines.append((time.time(), line.rstrip("\n")))
                if self._left:
                    return

    def leave(self) -> None:
        """Read its outputs no more, after the next line: who writes to them then is told so."""
        self._left = True

    def wait(self, seconds: float = 240) -> Run:
        """Wait until it has ended; one that takes longer fails the test."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGTERM)
            raise AssertionError(f"not ended within {seconds} s:\n{self.text}") from None
        finally:
            self.ended = time.time()
        self._reader.join(5)
        return self

    def until(self, sign: str, seconds: float = 120) -> float:
        """Wait for a line with this in it; returns when it came."""
        return until(lambda: self.at(sign) or (self.process.poll() is not None and 0.1), seconds)

    def at(self, sign: str) -> float:
        """When the first line with this in it came; 0 when none did."""
        return next((when for when, line in self.lines if sign in line), 0.0)

    @property
    def status(self) -> int:
        """The exit status."""
        assert self.process.returncode is not None
        return self.process.returncode

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began

    @property
    def text(self) -> str:
        """All that it printed."""
        return "\n".join(line for _, line in self.lines)

    @property
    def verdict(self) -> str:
        """What it says of its failure, from its first line on; empty when all is well."""
        lines = [line for _, line in self.lines]
        start = next((n for n, line in enumerate(lines) if line.startswith("inv: ")), len(lines))
        return "\n".join(lines[start:])


@dataclass
class Site:
    """An app, deployed from a clone to an environment of a lab.

    Args:
        root: the clone.
        lab: the variables with which tasks work with the lab.
        env: the environment.
        more: variables on top, for every task.
        good: the commit that was deployed first, without a fault.
        first: that deploy.
        record: what was recorded of it.
    """

    root: Path
    lab: Exports
    env: str = "lab"
    more: Exports = field(default_factory=dict)
    good: str = ""
    first: Run | None = None
    record: dict[str, Any] = field(default_factory=dict)

    # Tasks.

    def begin(self, *words: str, **env: str) -> Run:
        """Start a task; for one of this environment --env is added."""
        foreign = ("INVOKE_", "CI_", "SSH_", "GITHUB_")
        clean = {k: v for k, v in os.environ.items() if k != "CI" and not k.startswith(foreign)}
        command = ["./inv", *words]
        if words[0] not in ("build", "login", "images"):
            command.append(f"--env={self.env}")
        return Run(command, self.root, {**clean, **self.lab, **self.more, **env})

    def inv(self, *words: str, **env: str) -> Run:
        """Run a task to its end."""
        return self.begin(*words, **env).wait()

    def must(self, *words: str, **env: str) -> Run:
        """Run a task that succeeds."""
        done = self.inv(*words, **env)
        assert done.status == 0, done.text
        return done

    def set_up(self) -> None:
        """Make the servers ready, and set the secrets."""
        self.must("server.setup")
        for name in ("SECRET_KEY", "POSTGRES_PASSWORD"):
            self.must("secrets.set", f"--name={name}")

    # Images.

    def write(self, path: str, text: str, add: bool = False) -> None:
        """Write a file of the clone, or add to its end."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text((file.read_text() if add and file.exists() else "") + text)

    def build(self, what: str, files: dict[str, str] | None = None, tested: bool = True) -> str:
        """Build, push and mark as tested the app with some files changed; returns the commit.

        Args:
            what: the commit's message; each image is another one, even with nothing changed.
            files: what is added to the end of files, or is written where there is none. A name
                that begins with "=" replaces the file.
        """
        for path, text in (files or {}).items():
            self.write(path.removeprefix("="), text, add=not path.startswith("="))
        git(self.root, "add", "--all")
        git(self.root, "commit", "--allow-empty", "--message", what)
        commit = git(self.root, "rev-parse", "HEAD")
        try:
            self.must("build", "--push")
        finally:
            if files:
                git(self.root, "reset", "--hard", "HEAD~1")
        if tested:
            self.mark(commit)
        return commit

    @property
    def registry(self) -> Registry:
        """The registry, asked by the test itself."""
        image = Reference.parse(self.settings["registry"]["image"])
        user, password = self.lab["CI_REGISTRY_USER"], self.lab["CI_REGISTRY_PASSWORD"]
        return Registry(image, Session(image.host, Login(image.host, user, password, "a test")))

    def answers(self) -> bool:
        """Whether the registry answers."""
        try:
            return bool(self.registry.digest(self.good))
        except TaskError:
            return False

    def mark(self, commit: str) -> None:
        """Mark a commit's image as tested, as `test --image` would."""
        promotion.mark_tested(self.registry, self.registry.digest(commit))

    # What is there.

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The settings of the lab."""
        return yaml.safe_load(Path(self.lab["INVOKE_RUNTIME_CONFIG"]).read_text())

    @property
    def url(self) -> str:
        """Where users find it."""
        return self.settings["environments"][self.env]["url"]

    @property
    def stack(self) -> str:
        """The stack's name."""
        return f"myapp-{self.env}"

    def get(self, path: str, timeout: float = 20) -> tuple[int, dict[str, str], str]:
        """Status, headers and body of an answer; status 0 for none."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=timeout) as answer:
                return answer.status, dict(answer.headers), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read().decode()
        except OSError as error:
            return 0, {}, str(error)

    def versions(self, times: int = 6) -> set[str]:
        """The commits that answer, of several requests; "nothing" stands for no answer."""
        answers = [self.get("/livez") for _ in range(times)]
        return {
            json.loads(body)["version"] if code == 200 else "nothing" for code, _, body in answers
        }

    @property
    def nodes(self) -> dict[str, str]:
        """The servers' containers by name: node1 and so on."""
        name = self.lab["LAB_NAME"]
        shown = docker(
            "ps", "--all", "--format", "{{.Names}}", "--filter", f"name=-lab-{name}-node"
        )
        return {whole.rpartition("-")[2]: whole for whole in sorted(shown.split())}

    def on(self, node: str, script: str, text: str = "") -> str:
        """What a shell script prints on a server, run as its root in the deploy user's home."""
        words = ["exec", "--interactive", "--workdir", "/home/deploy", self.nodes[node]]
        return docker(*words, "sh", "-c", script, text=text)

    @property
    def lock(self) -> str:
        """The lock's text; empty when nobody has it."""
        return self.on("node1", f"cat deploy/myapp/{self.env}/lock 2>/dev/null || true")

    def history(self) -> list[dict[str, Any]]:
        """The records of the releases, the newest first."""
        script = f"cd deploy/myapp/{self.env}/releases 2>/dev/null || exit 0; "
        script += 'for each in */release.json; do cat "$each"; echo; done'
        lines = self.on("node1", script).splitlines()
        return sorted(map(json.loads, lines), key=lambda each: -each["number"])

    def services(self) -> list[str]:
        """The stack's services, by the names they have in it."""
        filters = f"label=com.docker.stack.namespace={self.stack}"
        shown = self.on("node1", f"docker service ls --format '{{{{.Name}}}}' --filter {filters}")
        return sorted(name.removeprefix(f"{self.stack}_") for name in shown.split())

    def sql(self, text: str) -> str:
        """What the database answers, a line a row."""
        inner = f"docker exec -i $(docker ps -q -f name={self.stack}_db.)"
        return self.on("node1", f"{inner} psql -U app -d app -qAtv ON_ERROR_STOP=1", text)

    def load(self, *paths: str, pause: float = 0.1) -> Load:
        """A load on the site, of many clients, as a context; see Load."""
        return Load(self.url, paths or ("/", "/livez"), pause)

    # Expectations.

    def serves(self, commit: str) -> None:
        """See that this commit's image, and no other, answers; and that nobody has the lock."""
        assert self.versions() == {commit}
        assert self.lock == ""

    def at(self, env: str, **more: str) -> Site:
        """The same app for another environment."""
        return replace(self, env=env, more={**self.more, **more})

    def wipe(self) -> None:
        """Leave nothing of the environment on the servers."""
        own = f"label=com.docker.stack.namespace={self.stack}"
        self.on("node1", f"docker stack rm {self.stack}; rm -rf deploy/myapp/{self.env}")
        for kind in ("secret", "config"):
            self.on("node1", f"docker {kind} ls -q -f {own} | xargs -r docker {kind} rm")
        network = f"docker network ls -q -f {own}"
        until(lambda: not any(self.on(node, network) for node in self.nodes), 60)
        for node in self.nodes:
            volumes = f"docker volume ls -q -f name={self.stack}_ | xargs -r docker volume rm"
            left = f"docker ps -aq -f name={self.stack}_"
            until(lambda node=node, left=left: not self.on(node, left), 60)
            self.on(node, volumes)
