"""Deploys to a Swarm in a lab: ours, beside the same app deployed the old way by hand."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from statistics import median

from clients import Clients
from scratch import Scratch
from sides import alternate
from sites import Lab, Ours, Theirs
from table import Row

ROUNDS, LOADED, AGAIN, BACK = 3, 2, 3, 3
REPLICAS, HOSTS = (2, 8, 16), (2, 4)
# The web server ends before it serves: what a check of the image alone does not see.
CODE = 7
BROKEN = f"#!/bin/sh\necho cannot start >&2\nexit {CODE}\n"
TOLD = "undoing it"


def measure(scratch: Scratch) -> list[Row]:
    """Both ways on one server."""
    with Lab(scratch, 1) as lab:
        bench = Deploying(lab)
        return [*bench.loaded(), *bench.quiet(), *bench.nothing(), bench.back(), bench.death()]


def grow(scratch: Scratch) -> list[Row]:
    """Ours with more replicas, and on more servers."""
    with Lab(scratch, 1) as lab:
        rows = [grown(lab, replicas) for replicas in REPLICAS]
    for hosts in HOSTS:
        with Lab(scratch, hosts) as lab:
            rows.append(grown(lab, REPLICAS[0]))
    return rows


@dataclass
class Roll:
    """A deploy: seconds that the command took, seconds until its version alone was served.

    Args:
        failed, asked: requests meanwhile.
        logins: SSH connections.
        start: seconds that the app's own start took, if it was measured.
    """

    taken: float
    served: float
    failed: int
    asked: int
    logins: int
    start: float = 0


class Deploying:
    """One server, to which both ways deploy the same images."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.ours, self.theirs = lab, Ours(lab), Theirs(lab)
        self.newest = lab.build()
        for side in (self.ours, self.theirs):
            side.deploy(self.newest)
            with Clients(side.url, count=2) as clients:
                clients.wait(self.newest)

    def roll(self, side: Ours | Theirs, *paths: str, **load: int) -> Roll:
        """Deploy a new image, and see what clients see of it."""
        self.newest, logins = self.lab.change(), self.lab.logins()
        with Clients(side.url, *paths, **load) as clients:
            began = time.time()
            taken = side.deploy(self.newest)
            served = clients.wait(self.newest) - began
        start = side.start(began) if isinstance(side, Ours) else 0
        return Roll(
            taken, served, clients.failed, len(clients.answers), self.lab.logins() - logins, start
        )

    def rolls(self, rounds: int, *paths: str, **load: int) -> tuple[list[Roll], list[Roll]]:
        """Deploys of both sides in turns."""
        kept: dict[object, list[Roll]] = defaultdict(list)

        def take(side: Ours | Theirs) -> float:
            kept[side].append(self.roll(side, *paths, **load))
            return 0

        alternate(lambda: take(self.ours), lambda: take(self.theirs), rounds, warm=False)
        return kept[self.ours], kept[self.theirs]

    def loaded(self) -> list[Row]:
        """Requests that fail while many clients ask."""
        ours, theirs = self.rolls(LOADED, "/", "/livez")
        failed = [sum(each.failed for each in rolls) for rolls in (ours, theirs)]
        asked = [sum(each.asked for each in rolls) for rolls in (ours, theirs)]
        what = f"requests that failed during {LOADED} deploys, 8 clients / the old way"
        note = f"of {asked[0]} / {asked[1]}"
        return [Row(what, failed[0], failed[1], 0, unit="", alone=True, note=note)]

    def quiet(self) -> list[Row]:
        """Times of a deploy while few ask."""
        ours, theirs = self.rolls(ROUNDS, count=4)
        served = [median(each.served for each in rolls) for rolls in (ours, theirs)]
        logins = [max(each.logins for each in rolls) for rolls in (ours, theirs)]
        drain = self.ours.drain()
        taken, start = (median(getattr(each, key) for each in ours) for key in ("taken", "start"))
        beyond = median(each.taken - each.start - drain for each in ours)
        note = f"{taken:.3g} s in all, {start:.3g} s until healthy, {drain:.3g} s of drain"
        return [
            Row("deploy, until the new version alone is served / the old way", *served),
            Row("deploy on one host, beyond the app's own start and drain", beyond, None, 10,
                note=note),
            Row("deploy, SSH connections / the old way", *logins, 10, unit="", alone=True),
        ]  # fmt: skip

    def nothing(self) -> list[Row]:
        """Times of a deploy of what runs."""
        for side in (self.ours, self.theirs):
            side.deploy(self.newest)
        taken = alternate(
            lambda: self.ours.deploy(self.newest), lambda: self.theirs.deploy(self.newest), AGAIN
        )
        return [Row("deploy of what runs already / the old way", *taken, 3, alone=True)]

    def back(self) -> Row:
        """Time of a rollback."""
        taken = median(self.ours.rollback() for _ in range(BACK))
        return Row("rollback on one host", taken, None, 5)

    def death(self) -> Row:
        """Time from the end of a replica that cannot start until that is told."""
        web = self.lab.scratch.tree / "docker/web"
        good = web.read_text()
        web.write_text(BROKEN)
        lines = self.ours.fail(self.lab.build())
        web.write_text(good)
        told = next(when for when, line in lines if TOLD in line)
        note = "the old way never tells"
        return Row("a replica's end at its start, until told", told - self.ours.died(CODE), None, 5,
                   note=note)  # fmt: skip


def grown(lab: Lab, replicas: int) -> Row:
    """Time of a deploy, of a new image, after one that made the app so large."""
    ours = Ours(lab, replicas)
    ours.deploy(lab.change())
    taken = ours.deploy(lab.change())
    hosts = f"{lab.nodes} hosts" if lab.nodes > 1 else "1 host"
    return Row(f"deploy, {hosts}, {replicas} replicas", taken, None)
