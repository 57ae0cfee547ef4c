"""One Docker host: the orchestrator without a Swarm, the Swarm's, and two ways by hand."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median

from bench.deploy import AGAIN, BACK, LOADED, ROUNDS, Deploying, dying
from bench.sites import Lab, Theirs, lab
from bench.table import Row, alternate
from tests.testbed.commands import docker, until
from tests.testbed.onehost import OneHost
from tests.testbed.scratch import Scratch
from tests.testbed.sites import Site

# An environment of the lab whose ports nobody else uses, and those of the ways by hand.
ENVIRONMENT, PLAIN, SCALED = "staging", 82, 83
REQUESTS, UP = 10_000, ("up", "--detach", "--quiet-pull")
OTHERS = "the Swarm's", "`docker compose up --detach`", "a scale to double"


@contextmanager
def forwarded(one: Lab) -> Iterator[dict[str, str]]:
    """Give the variables that lead docker to the server, with a login to the registry."""
    theirs, socket = Theirs(one), one.scratch.folder / "server.sock"
    one.scratch.seconds("sh", "-c", theirs.login, DOCKER_CONFIG=theirs.env["DOCKER_CONFIG"])
    forward = f"{socket}:/var/run/docker.sock"
    ssh = subprocess.Popen(["ssh", "-N", *theirs.options, "-L", forward, "deploy@127.0.0.1"])
    try:
        until(socket.exists, 20)
        yield {"DOCKER_HOST": f"unix://{socket}", "DOCKER_CONFIG": theirs.env["DOCKER_CONFIG"]}
    finally:
        ssh.terminate()
        ssh.wait()


class Plain(Theirs):
    """Deployed by hand: `docker compose up --detach`, from here."""

    files: tuple[str, ...] = ("naive.stack.yml",)

    def __init__(self, lab: Lab, port: int, engine: dict[str, str]) -> None:
        super().__init__(lab, port)
        self.engine, self.project = engine, f"by-hand-{port}"

    def compose(self, commit: str, *words: str) -> float:
        """Seconds of a command of Compose, on the server."""
        files = [f"--file=bench/{name}" for name in self.files]
        command = ["docker", "compose", f"--project-name={self.project}", *files, *words]
        return self.scratch.seconds(*command, **self.engine, **self.values(commit))

    def deploy(self, commit: str, image: str = "") -> float:
        """Seconds to deploy a commit."""
        return self.compose(commit, *UP)


class Scaled(Plain):
    """Scaled to double, and once the new replica is healthy, the old one is removed."""

    files = ("naive.stack.yml", "scaled.yml")

    def deploy(self, commit: str, image: str = "") -> float:
        """Seconds to deploy a commit."""
        began, old = time.monotonic(), self.apps()
        if not old:
            return super().deploy(commit)
        self.compose(commit, *UP, "--no-deps", "--no-recreate", "--scale=app=2", "app")
        until(lambda: len(self.apps("health=healthy")) == 2, 120)
        docker("stop", *old, env=self.engine)
        docker("rm", *old, env=self.engine)
        self.compose(commit, *UP, "--no-deps", "worker", "beat")
        return time.monotonic() - began

    def apps(self, *filters: str) -> list[str]:
        """The IDs of the app's containers."""
        labels = f"project={self.project}", "service=app"
        known = [f"--filter=label=com.docker.compose.{each}" for each in labels]
        known += [f"--filter={each}" for each in filters]
        return docker("ps", "--quiet", *known, env=self.engine).split()


def measure(scratch: Scratch) -> list[Row]:
    """All ways on one server of a lab, side by side."""
    with lab(scratch, 1) as one:
        settings = one.site.settings
        settings["environments"][ENVIRONMENT]["orchestrator"] = "compose"
        ours = OneHost(one.site.root, one.site.lab, ENVIRONMENT, one.changed(settings).more)
        ours.set_up()
        with forwarded(one) as engine:
            by_hand = Plain(one, PLAIN, engine), Scaled(one, SCALED, engine)
            bench = Deploying(one, ours, one.site, *by_hand)
            return [*times(bench), *against_swarm(bench, ours, one.site), *losses(bench)]


def times(bench: Deploying) -> list[Row]:
    """Times of a deploy while few ask."""
    sides = bench.in_turns(bench.roll, ROUNDS)
    ours, *others = [median(each.taken for each in side) for side in sides]
    limits = 0.9, None, None
    rows = zip(OTHERS, others, limits, strict=True)
    return [Row(f"deploy / {name}", ours, each, limit) for name, each, limit in rows]


def against_swarm(bench: Deploying, *sites: Site) -> list[Row]:
    """Times of a rollback, of a deploy of what runs, and until a dead container is told."""
    # Each goes one release further back, and there are few.
    took = (lambda site=site: site.must("rollback").seconds for site in sites)
    back = alternate(*took, BACK, warm=False)
    for site in sites:
        site.deploy(bench.newest)
    nothing = alternate(*(partial(site.deploy, bench.newest) for site in sites), AGAIN)
    told = [dying(site) for site in sites]
    return [
        Row("rollback / the Swarm's", *back, 0.9),
        Row("deploy of what runs already / the Swarm's", *nothing, 3, alone=True),
        Row("a replica's end at its start, until told / the Swarm's", *told, 5, alone=True),
    ]


def losses(bench: Deploying) -> list[Row]:
    """Requests that fail while many clients ask, by k6."""
    sides = bench.in_turns(bench.judged, LOADED)
    while sum(k6.total for k6 in sides[0]) < REQUESTS:
        bench.newest = bench.change()
        sides[0].append(bench.judged(bench.site))
    ours, *others = [
        [sum(k6.failed for k6 in side), sum(k6.total for k6 in side)] for side in sides
    ]
    return [
        Row(f"requests that failed during deploys / {name}", ours[0], each[0], 0, unit="",
            alone=True, note=f"of {ours[1]} / {each[1]}")
        for name, each in zip(OTHERS, others, strict=True)
    ]  # fmt: skip
