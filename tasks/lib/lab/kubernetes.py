"""A lab's servers as one Kubernetes cluster, which lab/kubernetes builds and forms."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from ..errors import TaskError
from ..project.settings import ROOT
from .state import USER, State

# What such a lab is for, and the folder of what it is made with.
KUBERNETES = "kubernetes"
FOLDER = ROOT / "lab/kubernetes"
# The port of the API, and the first of the ports of every server that a service may publish.
API, PORTS = 6443, 30080


def image() -> str:
    """Return the name of the servers' image; images that are missing are built."""
    return f"lab-kubernetes-node:{_script('build', 'images')}"


def form(state: State, image: str, project: str) -> str:
    """Make the servers one cluster; return the kubeconfig of its administrator."""
    tag, servers = image.rpartition(":")[2], [f"{project}-{name}" for name in state.nodes]
    return _script("form", tag, str(state.api), *servers)


def _script(name: str, *words: str) -> str:
    """Run a script of the folder; its messages are shown, and its output is returned."""
    done = subprocess.run([FOLDER / name, *words], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise TaskError(f"lab/kubernetes/{name} failed: see above", "correct that, then inv lab.up")
    return done.stdout.strip()


def server(state: State, name: str, forward: str) -> dict[str, Any]:
    """Return a server of the cluster; see lab/kubernetes/entrypoint."""
    first = name == state.nodes[0]
    sites = {PORTS + number: port for number, port in enumerate(state.http)}
    return {
        "environment": {"FORWARD": forward, "MIRROR": str(state.mirror)},
        "ports": {API: state.api, **sites} if first else {},
        "volumes": [f"/var/lib/{name}" for name in ("containerd", "kubelet", "etcd")],
        "tmpfs": ["/run", "/tmp"],  # noqa: S108
        "devices": ["/dev/kmsg"],
        "healthcheck": "ctr version >/dev/null",
    }


def variables(state: State, folder: Path) -> dict[str, str]:
    """Return the variables with which the tasks use the cluster and its registry."""
    return {
        "INVOKE_RUNTIME_CONFIG": str(folder / "invoke.yaml"),
        "KUBECONFIG": str(folder / "kubeconfig"),
        "CI_REGISTRY": state.host,
        "CI_REGISTRY_USER": USER,
        "CI_REGISTRY_PASSWORD": state.password,
        **state.variables,
    }
