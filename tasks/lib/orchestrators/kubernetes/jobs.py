"""One-off jobs on Kubernetes: Jobs with one pod, whose container's end is the job's."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from ...docker.cli import DockerError
from ...kubernetes.client import Cluster
from ...process import wait_until
from ..base import Job
from ..jobs import Runner
from ..stack import Stack
from . import naming, pod_status
from .workloads import job as rendered

# Seconds after which the cluster ends a job whose deployer was killed; its deployer waits less.
LONGEST = 86400
FAILED = ("Failed", "FailureTarget")
# The job that tries something out, and the seconds that it may take, with the pull of its image.
TRIAL, LONGEST_TRIAL = "trial", 120


class KubernetesJobs(Runner):
    """Some jobs of a stack; each is known by the name of its object.

    A job for every node has nothing to do here: each pod gets what it needs before it starts.
    """

    def __init__(self, cluster: Cluster, stack: Stack, jobs: Sequence[Job]) -> None:
        self._cluster, self._stack, self._jobs = cluster, stack, jobs
        self._mark, self._started = uuid.uuid4().hex[:8], list[str]()
        self._pods: dict[str, Any] = {}
        self._ends: dict[str, str] = {}

    def clear(self) -> None:
        clear(self._cluster, self._stack.name)

    def start(self) -> list[str]:
        return ["" if each.everywhere else self._start(each) for each in self._jobs]

    def _start(self, job: Job) -> str:
        made = rendered(self._stack, job, self._mark, LONGEST)
        name = str(made["metadata"]["name"])
        self._started.append(name)
        self._cluster.create(made)
        return name

    def look(self) -> None:
        chosen = {**naming.labels(self._stack.name), naming.JOB: None}
        for pod in self._cluster.list("Pod", chosen):
            self._pods[pod["metadata"]["labels"].get("job-name", "")] = pod
        for job in self._cluster.list("Job", chosen):
            bad = (pod_status.condition(job, kind) for kind in FAILED)
            why = next((f"{each['reason']}: {each['message']}" for each in bad if each), "")
            self._ends[job["metadata"]["name"]] = why
        if {*self._started} - {*self._pods}:
            self._ends |= _refused(self._cluster)

    def verdict(self, handle: str) -> tuple[bool, str]:
        if not handle:
            return True, ""
        if pod := self._pods.get(handle):
            if failed := pod_status.failure(pod):
                return True, failed.reason.removeprefix(f"replica {pod['metadata']['name']} ")
            if pod_status.is_done(pod, pod["spec"]["containers"][0]["name"]):
                return True, ""
        # Without a pod, the Job itself says why; with one, the pod's end may come a little later.
        why = self._ends.get(handle, "")
        return bool(why), f"failed: {why}" if why else ""

    def lines(self, handle: str) -> list[str]:
        pod = self._pods.get(handle) if handle else None
        if not pod or pod["status"].get("phase") == "Pending":
            return []
        return self._cluster.log(pod["metadata"]["name"], pod["spec"]["containers"][0]["name"])

    def remove(self) -> bool:
        for name in self._started:
            self._cluster.delete("Job", name)
        return bool(self._started)


def _refused(cluster: Cluster) -> dict[str, str]:
    """Return why the cluster makes no pod, by the names of what should have one."""
    return {
        each["involvedObject"].get("name", ""): each["message"]
        for each in cluster.list("Event", {})
        if each.get("reason") == "FailedCreate" and "forbidden" in each.get("message", "")
    }


def clear(cluster: Cluster, stack: str) -> None:
    """Remove the jobs of a stack, whether they run or have ended."""
    for each in cluster.list("Job", {**naming.labels(stack), naming.JOB: None}):
        if each["metadata"]["labels"][naming.JOB] != TRIAL:
            cluster.delete("Job", each["metadata"]["name"])


def try_out(
    cluster: Cluster, name: str, service: Mapping[str, Any], command: Sequence[str]
) -> None:
    """Run a command in a service's image, without data; see base.Orchestrator.try_out.

    It is done before the lock is held, and so touches no other job.
    """
    stack = Stack(name, service["image"], {"services": {TRIAL: dict(service)}})
    bare = {"volumes": [], "secrets": [], "configs": [], "entrypoint": [command[0]]}
    job = Job(TRIAL, command[1:], overrides={**bare, "read_only": False})
    trial = KubernetesJobs(cluster, stack, [job])

    def ended() -> bool:
        trial.look()
        return trial.verdict(handle)[0]

    try:
        (handle,) = trial.start()
        wait_until(ended, LONGEST_TRIAL)
        if failed := trial.verdict(handle)[1]:
            raise DockerError(["kubernetes"], 1, "\n".join([failed, *trial.lines(handle)]))
    except TimeoutError:
        why = f"did not end within {LONGEST_TRIAL} s"
        raise DockerError(["kubernetes"], 1, why) from None
    finally:
        trial.remove()
