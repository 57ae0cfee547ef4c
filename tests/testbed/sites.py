"""A site in a lab: tasks run for it, its images, what is on its servers, what it answers."""

from __future__ import annotations

import json
import shlex
import urllib.error
import urllib.request
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tasks.lib.errors import TaskError
from tasks.lib.registry.client import Registry
from tests.testbed import clones
from tests.testbed.commands import docker, environment, git, until
from tests.testbed.load import Load
from tests.testbed.registries import client, mark_tested
from tests.testbed.replicas import Replica
from tests.testbed.runs import Run

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
# Jobs that the site's app has for the tests; their lines in the log say when they begin and end.
JOBS = """

def _work(name, seconds):
    import time
    logger.warning("%s begins", name)
    time.sleep(seconds)
    logger.warning("%s is done", name)


@shared_task
def early(name, seconds):
    _work(name, seconds)


@shared_task(acks_late=True)
def late(name, seconds):
    _work(name, seconds)
"""


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

    # The column of docs/faults.md that has what is seen of it.
    column = 1
    # How it is told of a replica that it answers 503, that it does not listen, how it exited.
    unready = "unhealthy: http://127.0.0.1:8000/readyz: HTTP/1.0 503 Not ready (licence expired)"
    unheard = "unhealthy: http://127.0.0.1:8000/readyz: [Errno 111] Connection refused"
    exited = "failed: task: non-zero exit ({})"

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
        command = ["./inv", *words]
        if words[0].partition(".")[0] not in ("build", "login", "images"):
            command.append(f"--env={self.env}")
        return Run(command, self.root, environment(**{**self.lab, **self.more, **env}))

    def inv(self, *words: str, **env: str) -> Run:
        """Run a task to its end."""
        return self.begin(*words, **env).wait()

    def must(self, *words: str, **env: str) -> Run:
        """Run a task that succeeds."""
        return self.begin(*words, **env).succeed()

    def deploy(self, commit: str) -> float:
        """Deploy a commit; returns the seconds that it took."""
        return self.must("deploy", f"--ref={commit}").seconds

    def set_up(self) -> None:
        """Make the servers ready, and set the secrets."""
        self.must("server.setup")
        for name in yaml.safe_load((self.root / "invoke.yaml").read_text())["deploy"]["secrets"]:
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
        commit = clones.commit(self.root, what)
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
        user, password = self.lab["CI_REGISTRY_USER"], self.lab["CI_REGISTRY_PASSWORD"]
        return client(self.settings["registry"]["image"], user, password)

    def answers(self) -> bool:
        """Whether the registry answers."""
        try:
            return bool(self.registry.digest(self.good))
        except TaskError:
            return False

    def mark(self, commit: str) -> None:
        """Mark a commit's image as tested, as `test --image` would."""
        mark_tested(self.registry, commit)

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

    def replicas(self, service: str, *filters: str) -> list[Replica]:
        """The first server's containers of a service, those that have ended too."""
        label = f"label=com.docker.swarm.service.name={self.stack}_{service}"
        chosen = shlex.join(f"--filter={each}" for each in (label, *filters))
        script = f"docker ps --all --quiet {chosen} | xargs --no-run-if-empty docker inspect"
        return [Replica(each) for each in json.loads(self.on("node1", script) or "[]")]

    def logins(self) -> int:
        """How many SSH connections the servers have let in."""
        count = "grep -c '^Accepted publickey' /var/log/sshd.log || true"
        return sum(int(self.on(node, count)) for node in self.nodes)

    @property
    def lock(self) -> str:
        """The lock's text; empty when nobody has it."""
        form = '{{.Label "deploy.lock.text"}}'
        return self.on("node1", f"docker config ls -f {self.lease} --format '{form}' || true")

    @property
    def lease(self) -> str:
        """Docker's filter for the leases of its lock."""
        return f"label=deploy.lock={self.stack}"

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

    def jobs(self) -> str:
        """The one-off jobs that are on the servers."""
        only = f"label=com.docker.stack.namespace={self.stack}_jobs"
        return self.on("node1", f"docker service ls --format '{{{{.Name}}}}' --filter {only}")

    def job(self, name: str) -> str:
        """How the name of a one-off job begins."""
        return f"{self.stack}_jobs_{name}"

    def box(self, service: str) -> str:
        """Docker's filter for the containers of a service."""
        return f"-f label=com.docker.swarm.service.name={self.stack}_{service}"

    def tasks(self, *services: str) -> list[str]:
        """What runs of services; a replica that is replaced is another one."""
        names = " ".join(f"{self.stack}_{service}" for service in services)
        script = f"docker service ps -q -f desired-state=running {names}"
        return sorted(self.on("node1", script).split())

    def sql(self, text: str) -> str:
        """What the database answers, a line a row."""
        inner = f"docker exec -i $(docker ps -q {self.box('db')})"
        return self.on("node1", f"{inner} psql -U app -d app -qAtv ON_ERROR_STOP=1", text)

    def psql(self) -> list[str]:
        """The command with which a person is in the database."""
        inner = f"docker exec -i $(docker ps -q {self.box('db')}) psql -U app -d app"
        return ["docker", "exec", "--interactive", self.nodes["node1"], "sh", "-c", inner]

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
        dockers = f"label=com.docker.stack.namespace={self.stack}"
        own = f"label=deploy.stack={self.stack}"
        self.on("node1", f"docker stack rm {self.stack}; rm -rf deploy/myapp/{self.env}")
        kinds = [(kind, mine) for kind in ("secret", "config") for mine in (own, dockers)]
        for kind, mine in [*kinds, ("config", self.lease)]:
            self.on("node1", f"docker {kind} ls -q -f {mine} | xargs -r docker {kind} rm")
        network = f"docker network ls -q -f {dockers}"
        until(lambda: not any(self.on(node, network) for node in self.nodes), 60)
        for node in self.nodes:
            volumes = f"docker volume ls -q -f name={self.stack}_ | xargs -r docker volume rm"
            left = f"docker ps -aq -f name={self.stack}_"
            until(lambda node=node, left=left: not self.on(node, left), 60)
            self.on(node, volumes)
