"""A whole pipeline, from a commit until it serves: our jobs, beside those of the old setup."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from clients import Clients
from engines import BASE, Engine, address
from scratch import Scratch
from sides import alternate
from sites import Lab, Theirs
from table import Row, figure

# After one pipeline on new runners, so many of a change of one line.
CHANGES = 2
# What both build, and where ours is deployed to.
BRANCH, ENVIRONMENT = "main", "staging"
# Images of others, which the runners and the server have before the first pipeline.
RUNNER = (BASE, "postgres:17-trixie", "redis:8-trixie")
SERVER = (*RUNNER, "caddy:2")
# What of the lab's variables a runner is given.
GIVEN = ("CI_REGISTRY", "SSH_", "INVOKE_RUNTIME_CONFIG")
LOGIN = (
    'echo "$CI_REGISTRY_PASSWORD"'
    ' | docker login --username "$CI_REGISTRY_USER" --password-stdin "$CI_REGISTRY"'
)

# The old setup's linter, of the version that ours has.
LINT = (
    "pip install --quiet --no-deps $(grep -o '^ruff==[0-9.]*' requirements/tasks.txt)"
    " && ruff check --output-format=gitlab --output-file=codequality.json ."
)
# What a pipeline took: the seconds of each job.
Run = dict[str, float]


class Served(NamedTuple):
    """When a job that deploys ended, and since when the new version alone was served."""

    ended: float
    since: float


# Does a commit's job.
Job = Callable[[str], Served | None]


def measure(scratch: Scratch) -> list[Row]:
    """A pipeline of both sides on new runners, then some after a change of one line."""
    with Lab(scratch, 1) as lab:
        bench = Pipelines(lab)
        alternate(bench.ours.take, bench.theirs.take, 1 + CHANGES, warm=False)
        ours, theirs = bench.ours.runs, bench.theirs.runs
        served = [median(side.served[1:]) for side in (bench.ours, bench.theirs)]
    cold, changed = (ours[:1], theirs[:1]), (ours[1:], theirs[1:])
    what = "pipeline after a one-line change"
    return [
        Row("pipeline on a new runner / the old setup", *totals(*cold), 1, note=jobs(*cold)),
        Row(f"{what} / the old setup", *totals(*changed), 1 / 3, faster=True, note=jobs(*changed)),
        Row(f"{what}, until the new version alone is served / the old setup", *served,
            faster=True, note="without what ours watches afterwards"),
    ]  # fmt: skip


def totals(*sides: list[Run]) -> list[float]:
    """The median seconds of each side's pipelines."""
    return [median(sum(run.values()) for run in runs) for runs in sides]


def jobs(*sides: list[Run]) -> str:
    """The median seconds of each job, on both sides."""
    told = []
    for job in sides[0][0]:
        taken = [median(run[job] for run in runs) for runs in sides if job in runs[0]]
        told.append(f"{job} {' / '.join(figure(each, 's') for each in taken)}")
    return ", ".join(told)


class Pipelines:
    """A repository that is the copy of the work tree, a lab, and a runner for each side."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.scratch = lab, lab.scratch
        self.commits: list[str] = []
        # What the runners clone.
        self.scratch.commit()
        # A server's container is called like the registry's, but for the end.
        prefix = lab.site.nodes["node1"].removesuffix("node1")
        self.forwards = {}
        for name in ("registry", "mirror"):
            self.scratch.docker("network", "connect", "bridge", f"{prefix}{name}")
            where = f"{address(self.scratch, f'{prefix}{name}')}:5000"
            self.forwards[str(lab.facts[name])] = where
        self.mirror = f"localhost:{lab.facts['mirror']}"
        self._seed()
        self.ours, self.theirs = Inv(self), ByHand(self)

    def _seed(self) -> None:
        """Put the base image into the mirror of Docker Hub, and the server's images on it."""
        name = f"{self.mirror}/library/{BASE}"
        try:
            self.scratch.docker("tag", BASE, name)
            self.scratch.docker("push", "--quiet", name)
        finally:
            self.scratch.docker("rmi", name)
        for image in SERVER:
            self.lab.site.on("node1", f"docker pull --quiet {image}")

    def commit(self, number: int) -> str:
        """The commit of both sides' pipeline of that number: each has one more line."""
        while len(self.commits) <= number:
            self.scratch.change()
            self.commits.append(self.scratch.commit())
        return self.commits[number]

    def engine(self, name: str) -> Engine:
        """A runner's engine, which has other people's images and nothing else."""
        mirror = f"--registry-mirror=http://{self.mirror}"
        made = Engine(self.scratch, f"runner-{name}", self.forwards, mirror)
        for image in RUNNER:
            made.docker("pull", "--quiet", image)
        return made


class Side(ABC):
    """A side's runner: an engine and a clone, which it keeps from one pipeline to the next.

    Attributes:
        url: where its jobs deploy to.
        runs: what its pipelines took.
        served: seconds from each one's begin until its commit alone was served.
    """

    url: str

    def __init__(self, bench: Pipelines, name: str) -> None:
        self.bench, self.lab, self.scratch = bench, bench.lab, bench.scratch
        self.engine, self.runs, self.served = bench.engine(name), list[Run](), list[float]()
        home = self.scratch.folder / f"runner-{name}"
        self.clone = home / "app"
        self.env = {key: value for key, value in self.lab.env.items() if key.startswith(GIVEN)} | {
            "CI": "true",
            "DOCKER_CONFIG": str(home / "docker"),
            "XDG_CACHE_HOME": str(home),
        }
        self._git("clone", "--quiet", str(self.scratch.tree), str(self.clone), cwd=Path("/"))

    def take(self) -> float:
        """Seconds of a pipeline of the next commit, its jobs one after the other."""
        commit, run = self.bench.commit(len(self.runs)), Run()
        for name, job in self.jobs().items():
            began = time.time()
            self._checkout(commit)
            if told := job(commit):
                self.served.append(sum(run.values()) + told.since - began)
            run[name] = (max(told) if told else time.time()) - began
        self.runs.append(run)
        print(f"  {type(self).__name__}: {jobs([run])}", file=sys.stderr, flush=True)
        return sum(run.values())

    @abstractmethod
    def jobs(self) -> dict[str, Job]:
        """The jobs by name, in their order."""

    def watched(self, deploy: Callable[[], object], commit: str) -> Served:
        """Deploy, and see what clients see of it."""
        with Clients(self.url, count=2) as clients:
            deploy()
            return Served(time.time(), clients.wait(commit))

    def sh(self, script: str, **env: str) -> str:
        """What a job's script prints."""
        given = {**self.engine.env, **self.env, **env}
        return self.scratch.run("sh", "-euc", script, cwd=self.clone, **given)

    def _checkout(self, commit: str) -> None:
        """Make the clone fresh, as a runner of GitLab does before each job."""
        self._git("fetch", "--quiet", "origin")
        self._git("checkout", "--quiet", "--force", "--detach", commit)
        self._git("clean", "-ffdxq", "--exclude=.venv/")

    def _git(self, *words: str, cwd: Path | None = None) -> None:
        self.scratch.run("git", *words, cwd=cwd or self.clone)


class Inv(Side):
    """Ours: each job is a line of .gitlab-ci.yml."""

    def __init__(self, bench: Pipelines) -> None:
        super().__init__(bench, "ours")
        self.url = self.lab.site.at(ENVIRONMENT).url

    def jobs(self) -> dict[str, Job]:
        """The pipeline's, and before the first of them what every job needs, which then stays."""
        tools: dict[str, Job] = {} if (self.clone / ".venv").exists() else {"tools": self._tools}
        return tools | {
            "build": self._build,
            "quality": lambda _: self._inv("quality"),
            "test": lambda _: self._inv("test --image=$IMAGE_DIGEST"),
            "release": lambda _: self._inv(f"release --env={ENVIRONMENT} --ref=$IMAGE_DIGEST"),
            "deploy": self._deploy,
        }

    def _inv(self, words: str) -> None:
        self.sh(f"./inv {words}")

    def _tools(self, commit: str) -> None:
        self._inv("--version")

    def _build(self, commit: str) -> None:
        self.env |= {"CI_COMMIT_SHA": commit, "CI_COMMIT_BRANCH": BRANCH}
        self._inv("build --push --dotenv=reports/image.env")
        # A later job has it from GitLab.
        lines = (self.clone / "reports/image.env").read_text().splitlines()
        self.env |= dict(line.split("=", 1) for line in lines)

    def _deploy(self, commit: str) -> Served:
        words = f"deploy --env={ENVIRONMENT} --ref=$IMAGE_DIGEST --dotenv=reports/deploy.env"
        return self.watched(lambda: self._inv(words), commit)


class ByHand(Side):
    """The old setup's: lines of docker and of ssh."""

    def __init__(self, bench: Pipelines) -> None:
        super().__init__(bench, "theirs")
        self.server = Theirs(self.lab)
        self.url, self.image = self.server.url, f"{self.env['CI_REGISTRY']}/naive"

    def jobs(self) -> dict[str, Job]:
        """A script each, but for the last, which runs on the server."""
        built, released = f"{self.image}:{BRANCH}", f"{self.image}:{ENVIRONMENT}"
        compose = "docker compose --project-name test --file bench/naive.test.yml"
        steps = {
            "build": [
                f"docker build --file bench/naive.Dockerfile --tag {built} .",
                f"docker push {built}",
            ],
            "quality": [
                f'docker run --rm --volume "$PWD:/app" --workdir /app {BASE} sh -c "{LINT}"'
            ],
            "test": [
                f"docker pull {built}",
                f"{compose} up --abort-on-container-exit --exit-code-from app",
                f"{compose} down --volumes",
            ],
            "release": [
                f"docker pull {built}",
                f"docker tag {built} {released}",
                f"docker push {released}",
            ],
        }
        scripts = {name: "\n".join([LOGIN, *lines]) for name, lines in steps.items()}
        return {name: partial(self._script, script) for name, script in scripts.items()} | {
            "deploy": partial(self._deploy, released)
        }

    def _script(self, script: str, commit: str) -> None:
        self.sh(script, IMAGE=f"{self.image}:{BRANCH}")

    def _deploy(self, image: str, commit: str) -> Served:
        return self.watched(lambda: self.server.deploy(commit, image), commit)
