"""How a cluster is reached: one context of a kubeconfig, always named, never the current one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..errors import ExitCode, TaskError

VARIABLE, DEFAULT = "KUBECONFIG", "~/.kube/config"
KINDS = ("clusters", "contexts", "users")
# What a kubeconfig is, and no path.
SIGNS = ("apiVersion:", '"apiVersion"')


@dataclass(frozen=True)
class Access:
    """How to reach a cluster.

    Args:
        folder: relative paths of the kubeconfig start there.
    """

    context: str
    cluster: Mapping[str, Any]
    user: Mapping[str, Any] = field(repr=False)
    folder: Path = Path()

    @property
    def proxy(self) -> str | None:
        """The proxy through which the cluster is reached."""
        return self.cluster.get("proxy-url")

    @property
    def server_name(self) -> str:
        """The name that the server's certificate has, if that is not its address."""
        return str(self.cluster.get("tls-server-name") or "")


def access(context: str, env: Mapping[str, str] = os.environ) -> Access:
    """Return how to reach the cluster of a context.

    KUBECONFIG is a kubeconfig itself, or the path of one, or several paths with colons between.
    Raises TaskError if there is no such context.
    """
    given = env.get(VARIABLE) or DEFAULT
    found = [(_parsed(text), folder) for text, folder in _texts(given)]
    merged, folders = _merged(found)
    return select(merged, context, folders)


def _texts(given: str) -> Iterator[tuple[str, Path]]:
    if any(sign in given for sign in SIGNS):
        yield given, Path()
        return
    for name in filter(None, given.split(os.pathsep)):
        path = Path(name).expanduser()
        try:
            yield path.read_text("utf-8"), path.parent
        except OSError as error:
            hint = f"set {VARIABLE} to a kubeconfig or its path"
            raise TaskError(f"{path}: {error.strerror}", hint, ExitCode.REFUSED) from None


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict):
        # Its text may have secrets.
        what = "the kubeconfig is no YAML with clusters, contexts and users"
        raise TaskError(what, f"correct {VARIABLE}", ExitCode.REFUSED)
    return found


Names = dict[str, dict[str, Any]]


def _merged(found: list[tuple[dict[str, Any], Path]]) -> tuple[dict[str, Names], dict[str, Path]]:
    """Return the entries of several files by kind and name, and the folder of each context.

    As for kubectl, the first file that has a name has it.
    """
    merged: dict[str, Names] = {kind: {} for kind in KINDS}
    folders: dict[str, Path] = {}
    for config, folder in found:
        for kind in KINDS:
            for entry in config.get(kind) or []:
                merged[kind].setdefault(entry["name"], entry.get(kind[:-1]) or {})
        for entry in config.get("clusters") or []:
            folders.setdefault(entry["name"], folder)
    return merged, folders


def select(merged: Mapping[str, Names], context: str, folders: Mapping[str, Path]) -> Access:
    """Return what a context names. Raises TaskError if it, or its cluster or user, is missing."""
    if context not in merged["contexts"]:
        known = ", ".join(sorted(merged["contexts"])) or "none"
        what = f"the kubeconfig has no context {context!r}"
        raise TaskError(what, f"known: {known}", ExitCode.REFUSED)
    chosen = merged["contexts"][context]
    parts = []
    for kind in ("cluster", "user"):
        name = chosen.get(kind, "")
        if name not in merged[f"{kind}s"]:
            what = f"context {context}: the kubeconfig has no {kind} {name!r}"
            raise TaskError(what, f"correct {VARIABLE}", ExitCode.REFUSED)
        parts.append(merged[f"{kind}s"][name])
    cluster, user = parts
    return Access(context, cluster, user, folders.get(chosen["cluster"], Path()))
