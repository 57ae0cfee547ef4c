"""A rollout on Kubernetes: what there was before, and what there is now."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from ...kubernetes.client import Cluster
from ...kubernetes.requests import PASSING, ClusterError
from ...process import wait_until
from ...project import contract
from ..base import Rollout
from ..stack import Stack
from ..status import Failure, Progress
from . import inventory, manifests, observation, pod_status, repair
from .place import Place
from .spec import spec

# Seconds that the proxies may take until the app follows in any case; what is wrong with them is
# an error by then, or later with everything else.
AHEAD = 60
# Seconds for which a cluster that is watched need not answer, besides those of its requests.
SILENCE = 30


class KubernetesRollout(Rollout):
    """One rollout on Kubernetes."""

    def __init__(
        self, cluster: Cluster, place: Place, stack: Stack, back: bool, prune: bool
    ) -> None:
        self._cluster, self._place, self._stack = cluster, place, stack
        self._back, self._prune = back, prune
        self._found = inventory.look(cluster, stack.name)
        self._before = {each["metadata"]["uid"] for each in self._found.pods}
        self._shown: list[Progress] | None = None
        self._heard = time.monotonic()

    def apply(self) -> dict[str, Any]:
        """Apply the stack: the proxies first, since pages of the new app need its static files."""
        running = {
            k: int(each["spec"].get("replicas", 1)) for k, each in self._found.workloads.items()
        }
        made = manifests.objects(self._stack, self._place, self._former(), running)
        own = [each for each in made if self._is_own(each)]
        specs = self._apply([each for each in made if each not in own])
        with suppress(TimeoutError):
            wait_until(self._proxies_settled, AHEAD)
        specs |= self._apply(own)
        if self._prune:
            gone = {*self._found.workloads} - {*self._stack.services}
            inventory.remove_services(self._cluster, self._stack.name, gone)
            inventory.prune(self._cluster, self._stack.name, made)
        return specs

    def _former(self) -> str:
        """Return the app's image that runs."""
        app = self._found.workloads.get(contract.APP)
        return observation.image(app) if app else ""

    def _is_own(self, made: dict[str, Any]) -> bool:
        name = made["metadata"]["name"]
        return made["kind"] in inventory.WORKLOADS and name in self._stack.ours

    def _apply(self, made: Sequence[dict[str, Any]]) -> dict[str, Any]:
        done: dict[str, Any] = {}
        for each in made:
            workload = each["kind"] in inventory.WORKLOADS
            live = repair.apply(self._cluster, each) if workload else self._cluster.apply(each)
            done |= {each["metadata"]["name"]: spec(live)} if workload else {}
        return done

    def _proxies_settled(self) -> bool:
        """Return whether each proxy is as it is to be, or will not get there."""
        states = self._look(lambda name: bool(self._stack.services[name].get("ports")))
        return all(each.done or each.failed or each.given_up for each in states)

    def progress(self) -> list[Progress] | None:
        try:
            found = self._look(lambda name: True)
        except ClusterError as error:
            # What is not known has not failed: a cluster's own servers may be restarting.
            passing = error.status in (0, *PASSING)
            if not passing or time.monotonic() - self._heard > SILENCE:
                raise
            return None
        self._heard = time.monotonic()
        if found == self._shown:
            return None
        self._shown = found
        return found

    def _look(self, wanted: Callable[[str], bool]) -> list[Progress]:
        known = self._found = inventory.look(self._cluster, self._stack.name)
        for each in known.workloads.values():
            for pod in observation.stuck(each, known.pods):
                self._cluster.delete("Pod", pod)
        return [
            observation.judge(name, each, known.sets, known.pods, self._before, self._back)
            for name, each in sorted(known.workloads.items())
            if name in self._stack.services and wanted(name)
        ]

    def stuck(self) -> Failure | None:
        pods = self._found.pods
        new = [each for each in pods if each["metadata"]["uid"] not in self._before]
        waiting = [each for each in new if not pod_status.is_ready(each)]
        return next((Failure(_why(each), each) for each in waiting), None)


def _why(pod: dict[str, Any]) -> str:
    return pod_status.waits(pod) or str(pod["status"].get("phase", "")).lower()
