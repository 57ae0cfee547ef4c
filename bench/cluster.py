"""Deploys to a cluster in a lab: ours, beside a chart of the same app by Helm 4."""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64encode
from functools import partial
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from bench.deploy import AGAIN, BACK, BROKEN, LOADED, ROUNDS, TOLD, Deploying
from bench.onehost import REQUESTS
from bench.sites import ENVIRONMENT, NAIVE, PORT, Lab, lab
from bench.table import Row, alternate
from tasks.lib.lab.kubernetes import CONTEXT
from tests.testbed.commands import environment, until
from tests.testbed.oncluster import OnCluster
from tests.testbed.runs import Run
from tests.testbed.scratch import Scratch

# Helm, as Go's module proxy has it; and for how many seconds it waits for a release.
VERSION, LIMIT = "v4.3.1", 180
CHART = Path(__file__).with_name("chart")
HELM = "`helm upgrade --install --wait --rollback-on-failure`"
# A namespace with this has no room for one more pod.
QUOTA = ("quota", "few", "--hard=pods=1")


def measure(scratch: Scratch) -> list[Row]:
    """Both ways on one cluster."""
    helm = program()
    with lab(scratch, 0, "kubernetes") as one:
        ours = OnCluster(one.site.root, one.site.lab, ENVIRONMENT)
        bench = Clustered(one, ours, Helm(one, helm))
        return [bench.time(), bench.nothing(), bench.back(), bench.losses(), *bench.failures()]


def program() -> Path:
    """Helm's program, built once from its Go module; it stays in the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "bench-helm" / VERSION
    if not (folder / "helm").exists():
        words = ["go", "install", "-trimpath", f"helm.sh/helm/v4/cmd/helm@{VERSION}"]
        try:
            subprocess.run(words, env={**os.environ, "GOBIN": str(folder)}, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise RuntimeError(f"Helm is built with Go 1.26 or later: {error}") from None
    return folder / "helm"


class Helm:
    """The app as a release of Helm, in a namespace of its own."""

    def __init__(self, lab: Lab, program: Path) -> None:
        self.lab, self.program, self.number = lab, program, PORT - 80
        self.url = f"http://127.0.0.1:{lab.facts['http'][self.number]}"
        self.file = lab.scratch.folder / "values.json"

    def begin(self, *words: str) -> Run:
        """Start a command of Helm."""
        place = (f"--kube-context={CONTEXT}", f"--namespace={NAIVE}")
        env = environment(KUBECONFIG=self.lab.site.lab["KUBECONFIG"])
        return Run([self.program, *words, *place], self.lab.scratch.folder, env)

    def values(self, commit: str, image: str = "") -> None:
        """Write the values for a commit: the image that we built of it, or one that is named."""
        known = self.lab.site.lab
        pair = f"{known['CI_REGISTRY_USER']}:{known['CI_REGISTRY_PASSWORD']}".encode()
        login = {"auths": {known["CI_REGISTRY"]: {"auth": b64encode(pair).decode()}}}
        values = {
            "image": image or f"{self.lab.site.settings['registry']['image']}:{commit}",
            "version": commit,
            "url": self.url,
            "host": urlsplit(self.url).netloc,
            "login": b64encode(json.dumps(login).encode()).decode(),
            "secret_key": "a-key-of-this-measure-" * 3,  # pragma: allowlist secret
            "password": "a-password-of-this-measure",  # pragma: allowlist secret
        }
        self.file.write_text(json.dumps(values))

    def upgrade(self, commit: str, image: str = "", careful: bool = True) -> Run:
        """Deploy a commit, to the end of the command.

        Args:
            careful: wait for it, and go back if it fails.
        """
        self.values(commit, image)
        words = ["upgrade", "--install", NAIVE, str(CHART), f"--values={self.file}"]
        waits = ["--wait", "--rollback-on-failure", f"--timeout={LIMIT}s"]
        return self.begin(*words, "--create-namespace", *(waits if careful else [])).wait(900)

    def deploy(self, commit: str) -> float:
        """Seconds to deploy a commit."""
        return _well(self.upgrade(commit)).seconds

    def first(self, commit: str) -> None:
        """Install it. The app is ready only after the migration, which comes after an install."""
        _well(self.upgrade(commit, careful=False))
        web = ("deployment/web", f"--timeout={LIMIT}s")
        site = OnCluster(self.lab.site.root, self.lab.site.lab, ENVIRONMENT)
        until(lambda: site.kubectl("rollout", "status", *web, namespace=NAIVE), LIMIT)

    def rollback(self) -> float:
        """Seconds to go back to the release before."""
        return _well(
            self.begin("rollback", NAIVE, "--wait", f"--timeout={LIMIT}s").wait(900)
        ).seconds


def _well(run: Run) -> Run:
    """A run that has succeeded. Raises RuntimeError with what it printed otherwise."""
    if run.status:
        raise RuntimeError(f"{run.command} ended with {run.status}:\n{run.text}")
    return run


class Clustered(Deploying):
    """A cluster, to which both ways deploy the same images."""

    def __init__(self, lab: Lab, ours: OnCluster, helm: Helm) -> None:
        self.site, self.helm, self.change, self.newest = ours, helm, lab.change, lab.change()
        self.sides = (ours, helm)  # type: ignore[assignment]
        ours.deploy(self.newest)
        helm.first(self.newest)

    def roll(self, side: OnCluster | Helm) -> float:  # type: ignore[override]
        """Deploy the newest image; return the seconds."""
        return side.deploy(self.newest)

    def time(self) -> Row:
        """Time of a deploy while nobody asks."""
        ours, theirs = (median(side) for side in self.in_turns(self.roll, ROUNDS))
        return Row(f"deploy / {HELM}", ours, theirs, 1)

    def nothing(self) -> Row:
        """Time of a deploy of what runs."""
        for side in (self.site, self.helm):
            side.deploy(self.newest)
        both = (partial(side.deploy, self.newest) for side in (self.site, self.helm))
        return Row(
            "deploy of what runs already / the same", *alternate(*both, AGAIN), 3, alone=True
        )

    def back(self) -> Row:
        """Time of a rollback, which has something to bring back."""
        self.newest = self.change()
        for side in self.sides:
            self.roll(side)
        took = alternate(self._back, self.helm.rollback, BACK, warm=False)
        return Row("rollback / `helm rollback --wait`", *took)

    def _back(self) -> float:
        return self.site.must("rollback").seconds

    def losses(self) -> Row:
        """Requests that fail while many clients ask, half of which keep their connections."""
        sides = self.in_turns(self.judged, LOADED)
        while min(sum(k6.total for k6 in side) for side in sides) < REQUESTS:
            for side, more in zip(sides, self.in_turns(self.judged, 1), strict=True):
                side += more
        failed = [sum(k6.failed for k6 in side) for side in sides]
        asked = [sum(k6.total for k6 in side) for side in sides]
        note = f"of {asked[0]} / {asked[1]}, in {len(sides[0])} deploys"
        what = "requests that failed during deploys / the same"
        return Row(what, *failed, 0, unit="", alone=True, note=note)

    def failures(self) -> list[Row]:
        """Time from the command until it tells of a fault. Helm tells after it has gone back."""
        faults = {
            "a container that ends at its start": self.site.build("it ends", BROKEN),
            "an image that is not there": "0" * 40,
        }
        rows = [self.told(name, commit) for name, commit in faults.items()]
        commit, places = self.change(), (self.site.stack, NAIVE)
        for namespace in places:
            self.site.kubectl("create", *QUOTA, namespace=namespace)
        try:
            return [*rows, self.told("pods that a quota refuses", commit)]
        finally:
            for namespace in places:
                self.site.kubectl("delete", *QUOTA[:2], namespace=namespace)

    def told(self, name: str, commit: str) -> Row:
        """Time until a fault is told."""
        ours, theirs = self.site.inv("deploy", f"--ref={commit}"), self.helm.upgrade(commit)
        if not (ours.status and theirs.status):
            raise RuntimeError(f"{name}: no failure\n{ours.text}\n{theirs.text}")
        took, note = (ours.at(TOLD) or ours.ended) - ours.began, f"Helm's time-out is {LIMIT} s"
        what = f"{name}, until told / the same"
        return Row(what, took, theirs.seconds, 0.2, faster=True, note=note)
