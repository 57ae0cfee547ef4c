"""A whole pipeline, from a commit until it serves: our jobs, beside those of the old setup."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median

from bench.sites import Lab, Theirs, lab
from bench.table import Row, alternate
from tests.testbed.clients import Clients
from tests.testbed.commands import docker, git
from tests.testbed.engines import BASE, forward
from tests.testbed.scratch import Scratch

# After one pipeline on new runners, so many of a change of one line.
CHANGES = 2
# What both build, and where ours is deployed to.
BRANCH, ENVIRONMENT = "main", "staging"
# Images of others, which the runners and the server have before the first pipeline.
RUNNER = (BASE, "postgres:17-trixie", "redis:8-trixie")
SERVER = (*RUNNER, "caddy:2")
# What of the lab's variables a runner is given.
GIVEN = ("CI_REGISTRY", "SSH_", "INVOKE_RUNTIME_CONFIG")
# Ours: each job is a line of .gitlab-ci.yml. A later one has the digest from GitLab.
HANDED = "[ ! -f ../image.env ] || export $(cat ../image.env)\n"
OURS = {
    "tools": "./inv --version",
    "build": "./inv build --push --dotenv=reports/image.env\ncp reports/image.env ..",
    "quality": "./inv quality",
    "test": "./inv test --image=$IMAGE_DIGEST",
    "release": f"./inv release --env={ENVIRONMENT} --ref=$IMAGE_DIGEST",
}
DEPLOY = f"./inv deploy --env={ENVIRONMENT} --ref=$IMAGE_DIGEST --dotenv=reports/deploy.env"
# The old setup's: lines of docker; its linter is of the version that ours has.
LOGIN = """echo "$CI_REGISTRY_PASSWORD" \
 | docker login --username "$CI_REGISTRY_USER" --password-stdin "$CI_REGISTRY"
"""
LINT = """pip install --quiet --no-deps $(grep -o '^ruff==[0-9.]*' requirements/tasks.txt) \
 && ruff check --output-format=gitlab --output-file=codequality.json ."""
COMPOSE = "docker compose --project-name test --file bench/naive.test.yml"
THEIRS = {
    "build": "docker build --file bench/naive.Dockerfile --tag $IMAGE .\ndocker push $IMAGE",
    "quality": f'docker run --rm --volume "$PWD:/app" --workdir /app {BASE} sh -c "{LINT}"',
    "test": f"docker pull $IMAGE\n{COMPOSE} up --exit-code-from app\n{COMPOSE} down --volumes",
    "release": "docker pull $IMAGE\ndocker tag $IMAGE $RELEASED\ndocker push $RELEASED",
}


def measure(scratch: Scratch) -> list[Row]:
    """A pipeline of both sides on new runners, then some after a change of one line."""
    with lab(scratch, 1) as one:
        bench = Pipelines(one)
        alternate(bench.ours.take, bench.theirs.take, 1 + CHANGES, warm=False)
    sides, what = (bench.ours, bench.theirs), "pipeline after a one-line change"
    served = [median(side.served[1:]) for side in sides]
    until = f"{what}, until the new version alone is served / the old setup"
    note = "without what ours watches afterwards"
    return [
        row("pipeline on a new runner / the old setup", [side.runs[:1] for side in sides], 1),
        row(f"{what} / the old setup", [side.runs[1:] for side in sides], 1 / 3, faster=True),
        Row(until, *served, faster=True, note=note),
    ]


def row(what: str, sides: list[list[dict[str, float]]], limit: float, faster: bool = False) -> Row:
    """The median seconds of each side's pipelines."""
    totals = [median(sum(run.values()) for run in runs) for runs in sides]
    return Row(what, *totals, limit, faster=faster, note=jobs(sides))


def jobs(sides: list[list[dict[str, float]]]) -> str:
    """The median seconds of each job, on both sides."""
    taken = {job: [median(run[job] for run in runs) for runs in sides if job in runs[0]]
             for job in sides[0][0]}  # fmt: skip
    return ", ".join(f"{job} {' / '.join(f'{s:.3g} s' for s in taken[job])}" for job in taken)


class Pipelines:
    """A repository that is the clone, a lab, and a runner for each side."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.scratch = lab, lab.scratch
        self.commits: list[str] = []
        # A server's container is called like the registry's, but for the end.
        prefix = lab.site.nodes["node1"].removesuffix("node1")
        places = {lab.facts[name]: f"{prefix}{name}" for name in ("registry", "mirror")}
        for container in places.values():
            docker("network", "connect", "bridge", container)
        self.leads = forward(places)
        self.mirror = f"localhost:{lab.facts['mirror']}"
        self._seed(f"{self.mirror}/library/{BASE}")
        server, image = Theirs(lab), f"{lab.site.lab['CI_REGISTRY']}/naive"
        released = {"IMAGE": f"{image}:{BRANCH}", "RELEASED": f"{image}:{ENVIRONMENT}"}
        url = lab.site.at(ENVIRONMENT).url
        self.ours = Side(self, "ours", url, OURS, lambda _: self.ours.sh(DEPLOY))
        scripts = {name: LOGIN + script for name, script in THEIRS.items()}
        deploy = partial(server.deploy, image=released["RELEASED"])
        self.theirs = Side(self, "theirs", server.url, scripts, deploy, **released)

    def _seed(self, name: str) -> None:
        """Put the base image into the mirror of Docker Hub, and the server's images on it."""
        docker("tag", BASE, name)
        try:
            docker("push", "--quiet", name)
        finally:
            docker("rmi", name)
        for image in SERVER:
            self.lab.site.on("node1", f"docker pull --quiet {image}")

    def commit(self, number: int) -> str:
        """The commit of both sides' pipeline of that number: each has one more line."""
        while len(self.commits) <= number:
            self.commits.append(self.scratch.change())
        return self.commits[number]


class Side:
    """A side's runner: an engine and a clone, which it keeps from one pipeline to the next.

    Its jobs are scripts, with more variables, and a deploy of a commit to a site. Of its pipelines
    are kept the seconds of each job, and those until the commit alone was served.
    """

    def __init__(
        self, bench: Pipelines, name: str, url: str, scripts: dict[str, str],
        deploy: Callable[[str], object], **env: str,
    ) -> None:  # fmt: skip
        self.bench, self.url, self.scripts, self.deploy = bench, url, scripts, deploy
        self.name, self.runs, self.served = name, list[dict[str, float]](), list[float]()
        daemon = (f"--registry-mirror=http://{bench.mirror}",)
        self.engine = bench.scratch.engine(f"runner-{name}", bench.leads, daemon=daemon)
        for image in RUNNER:
            self.engine.docker("pull", "--quiet", image)
        home = bench.scratch.folder / f"runner-{name}"
        given = {key: v for key, v in bench.lab.site.lab.items() if key.startswith(GIVEN)}
        places = {"DOCKER_CONFIG": str(home / "docker"), "XDG_CACHE_HOME": str(home)}
        self.env = {**given, **self.engine.env, **env, **places}
        self.env |= {"CI": "true", "CI_COMMIT_BRANCH": BRANCH}
        self.clone = home / "app"
        git(bench.scratch.root, "clone", "--quiet", ".", str(self.clone))

    def take(self) -> float:
        """Seconds of a pipeline of the next commit, its jobs one after the other."""
        commit, run = self.bench.commit(len(self.runs)), dict[str, float]()
        self.env["CI_COMMIT_SHA"] = commit
        for name, script in self.scripts.items():
            if name != "tools" or not (self.clone / ".inv").exists():
                began = self._checkout(commit)
                self.sh(script)
                run[name] = time.time() - began
        began = self._checkout(commit)
        with Clients(self.url, ("/livez",), count=2) as clients:
            self.deploy(commit)
            ended, since = time.time(), clients.wait(commit)
        self.served.append(sum(run.values()) + since - began)
        run["deploy"] = max(ended, since) - began
        self.runs.append(run)
        print(f"  {self.name}: {jobs([[run]])}", file=sys.stderr, flush=True)
        return sum(run.values())

    def sh(self, script: str) -> None:
        """Do what a job does."""
        self.bench.scratch.run("sh", "-euc", HANDED + script, cwd=self.clone, **self.env)

    def _checkout(self, commit: str) -> float:
        """Make the clone fresh, as a runner of GitLab does before each job; since when."""
        began = time.time()
        git(self.clone, "fetch", "--quiet", "origin")
        git(self.clone, "checkout", "--quiet", "--force", "--detach", commit)
        git(self.clone, "clean", "-ffdxq", "--exclude=.inv/")
        return began
