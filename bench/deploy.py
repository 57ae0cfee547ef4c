"""Deploys to a Swarm in a lab: ours, beside the same app deployed the old way by hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, NamedTuple

from bench.sites import Lab, Theirs, lab
from bench.table import Row, alternate
from tests.testbed.clients import Clients
from tests.testbed.k6 import Referee
from tests.testbed.scratch import Scratch
from tests.testbed.sites import Site

ROUNDS, LOADED, AGAIN, BACK = 3, 2, 3, 3
REPLICAS, HOSTS = (2, 8, 16), (2, 4)
# The web server ends before it serves: what a check of the image alone does not see.
CODE = 7
BROKEN = {"=docker/web": f"#!/bin/sh\necho cannot start >&2\nexit {CODE}\n"}
TOLD = "rolling back"
# Writes when containers end, and how: one that failed may be removed.
ENDS = (
    "timeout 120 docker events --filter event=die --format "
    "'{{.TimeNano}} {{.Actor.Attributes.exitCode}}' >/tmp/ends 2>&1 </dev/null &"
)


def measure(scratch: Scratch) -> list[Row]:
    """Both ways on one server."""
    with lab(scratch, 1) as one:
        bench = Deploying(one, one.site, Theirs(one))
        return [bench.loaded(), *bench.quiet(), bench.nothing(), bench.back(), bench.death()]


def grow(scratch: Scratch) -> list[Row]:
    """Ours with more replicas, and on more servers."""
    with lab(scratch, 1) as one:
        rows = [grown(one, replicas) for replicas in REPLICAS]
    for hosts in HOSTS:
        with lab(scratch, hosts) as several:
            rows.append(grown(several, REPLICAS[0]))
    return rows


def grown(lab: Lab, replicas: int) -> Row:
    """Time of a deploy, of a new image, after one that made the app so large."""
    site = lab.enlarged(replicas)
    taken = [site.deploy(lab.change()) for _ in range(2)]
    hosts = f"{lab.nodes} hosts" if lab.nodes > 1 else "1 host"
    return Row(f"deploy, {hosts}, {replicas} replicas", taken[-1])


class Roll(NamedTuple):
    """A deploy, in seconds: of the command, until its version alone was served, of the app's start.

    The start is that of the slowest replica that is ours; with SSH connections, counted.
    """

    taken: float
    served: float
    start: float
    logins: int


class Deploying:
    """One server, to which all ways deploy the same images; the first is ours."""

    def __init__(self, lab: Lab, site: Site, *others: Site | Theirs) -> None:
        self.site, self.change, self.newest = site, lab.change, lab.change()
        self.sides: tuple[Site | Theirs, ...] = (site, *others)
        for side in self.sides:
            self.roll(side)

    def roll(self, side: Site | Theirs) -> Roll:
        """Deploy the newest image."""
        before = self.site.logins()
        with Clients(side.url, ("/livez",), count=4) as clients:
            began = time.time()
            taken = side.deploy(self.newest)
            served = clients.wait(self.newest) - began
        here = [each for each in self.site.replicas("app", "health=healthy") if each.began > began]
        start = max((each.healthy - each.began for each in here), default=0)
        return Roll(taken, served, start, self.site.logins() - before)

    def judged(self, side: Site | Theirs) -> Referee:
        """The same, while k6 judges what many clients see."""
        with Referee(side.url) as k6:
            self.roll(side)
        return k6

    def in_turns(self, take: Callable[[Site | Theirs], Any], rounds: int) -> list[list[Any]]:
        """What comes of deploys of new images, by all sides in turns."""
        kept: list[list[Any]] = [[] for _ in self.sides]
        for turn in range(rounds):
            for number in range(len(self.sides))[:: -1 if turn % 2 else 1]:
                self.newest = self.change()
                kept[number].append(take(self.sides[number]))
        return kept

    def loaded(self) -> Row:
        """Requests that fail while many clients ask."""
        sides = self.in_turns(self.judged, LOADED)
        failed = [sum(k6.failed for k6 in side) for side in sides]
        asked = [sum(k6.total for k6 in side) for side in sides]
        what = f"requests that failed during {LOADED} deploys, 8 clients of k6 / the old way"
        return Row(what, *failed, 0, unit="", alone=True, note=f"of {asked[0]} / {asked[1]}")

    def quiet(self) -> list[Row]:
        """Times of a deploy while few ask."""
        sides = self.in_turns(self.roll, ROUNDS)
        served = [median(each.served for each in side) for side in sides]
        logins = [max(each.logins for each in side) for side in sides]
        drain = float(self.site.replicas("app")[0].env["WEB_DRAIN"])
        taken, start = (median(getattr(each, of) for each in sides[0]) for of in ("taken", "start"))
        beyond = median(each.taken - each.start - drain for each in sides[0])
        note = f"{taken:.3g} s in all, {start:.3g} s until healthy, {drain:.3g} s of drain"
        what = "deploy on one host, beyond the app's own start and drain"
        return [
            Row("deploy, until the new version alone is served / the old way", *served),
            Row(what, beyond, limit=10, note=note),
            Row("deploy, SSH connections / the old way", *logins, 10, unit="", alone=True),
        ]

    def nothing(self) -> Row:
        """Time of a deploy of what runs."""
        self.site.deploy(self.newest)
        taken = alternate(*(partial(side.deploy, self.newest) for side in self.sides), AGAIN)
        return Row("deploy of what runs already / the old way", *taken, 3, alone=True)

    def back(self) -> Row:
        """Time of a rollback."""
        taken = median(self.site.must("rollback").seconds for _ in range(BACK))
        return Row("rollback on one host", taken, limit=5)

    def death(self) -> Row:
        """Time from the end of a replica that cannot start until that is told."""
        note = "the old way never tells"
        return Row("a replica's end at its start, until told", dying(self.site), limit=5, note=note)


def dying(site: Site) -> float:
    """Seconds from the end of a replica that cannot start until that is told."""
    image = site.build("it ends", BROKEN)
    site.on("node1", ENDS)
    run = site.inv("deploy", f"--ref={image}")
    if run.status != 1 or not run.at(TOLD):
        raise RuntimeError(f"a broken deploy does not fail:\n{run.text}")
    ends = (line.split() for line in site.on("node1", "cat /tmp/ends").splitlines())
    return (
        run.at(TOLD)
        - min(int(nanoseconds) for nanoseconds, code in ends if code == str(CODE)) / 1e9
    )
