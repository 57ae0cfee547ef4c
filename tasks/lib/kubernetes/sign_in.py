"""The credentials of a user of a cluster, also those that another program gives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from .. import redaction
from ..errors import ExitCode, TaskError
from .kubeconfig import Access

GROUP = "client.authentication.k8s.io"
VERSIONS = {f"{GROUP}/{version}" for version in ("v1", "v1beta1")}
# What a program gives, and how a kubeconfig names it.
GIVEN = (
    ("token", "token"),
    ("clientCertificateData", "client-certificate-data"),
    ("clientKeyData", "client-key-data"),
)
# Seconds that a program may take; it asks nothing.
TIMEOUT = 60


def credentials(access: Access) -> dict[str, Any]:
    """Return the user's token, certificate and key: those of a kubeconfig, or of its program."""
    if not (program := access.user.get("exec")):
        return dict(access.user)
    status = _answer(program, _run(program, access))
    redaction.know("token", status.get("token", ""))
    return {name: status[key] for key, name in GIVEN if status.get(key)}


def _run(program: Mapping[str, Any], access: Access) -> str:
    """Run a program for credentials; return what it prints."""
    name, version = program["command"], program.get("apiVersion", "")
    if version not in VERSIONS:
        what = f"context {access.context}: {name} speaks {version}, which no cluster does any more"
        raise TaskError(
            what, "update the program, and write the kubeconfig again", ExitCode.REFUSED
        )
    if not shutil.which(name):
        hint = program.get("installHint") or f"install {name}, or use a token"
        what = f"context {access.context}: {name} not found"
        raise TaskError(what, " ".join(hint.split()), ExitCode.REFUSED)
    given = {each["name"]: each["value"] for each in program.get("env") or []}
    env = {**os.environ, **given, "KUBERNETES_EXEC_INFO": json.dumps(info(program, access))}
    words = [name, *(program.get("args") or [])]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise TaskError(f"context {access.context}: {name}: {last}", "sign in", ExitCode.REFUSED)
    return done.stdout


def info(program: Mapping[str, Any], access: Access) -> dict[str, Any]:
    """Return what a program may know: that no person can be asked, and of which cluster it is."""
    spec: dict[str, Any] = {"interactive": False}
    if program.get("provideClusterInfo"):
        known = ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url")
        names = {**{name: name for name in known}, "ca": "certificate-authority-data"}
        spec["cluster"] = {
            name: access.cluster[key] for name, key in names.items() if key in access.cluster
        }
    return {"apiVersion": program["apiVersion"], "kind": "ExecCredential", "spec": spec}


def _answer(program: Mapping[str, Any], text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text)["status"])
    except (ValueError, KeyError, TypeError):
        what = f"{program['command']} printed no credentials"
        raise TaskError(what, "run it by hand, and see what it prints", ExitCode.REFUSED) from None
