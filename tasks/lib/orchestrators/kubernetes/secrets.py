"""The versions of a stack's secrets: immutable objects, one each."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

from ...errors import TaskError
from ...kubernetes.client import Cluster
from . import naming
from .mounts import VALUE
from .pods import LOGIN

# The label of the versions of secrets, which nothing else has; their own name is a label too.
SECRET, NAME = "secret", "deploy.secret"  # pragma: allowlist secret
# The user of GitLab's tokens for a job, and how those of GitHub begin.
JOB, JOB_TOKEN = "gitlab-ci-token", "ghs_"  # pragma: allowlist secret

# The key of a login in its secret.
CONFIG = ".dockerconfigjson"


class Secrets:
    """The secrets of a stack."""

    def __init__(self, cluster: Cluster, stack: str) -> None:
        self._cluster, self._stack = cluster, stack

    def versions(self) -> dict[str, list[str]]:
        """Return the versions of each secret, the newest first."""
        chosen = {**naming.labels(self._stack), naming.KIND: SECRET}
        found: dict[str, list[str]] = {}
        for each in self._cluster.list("Secret", chosen):
            meta = each["metadata"]
            found.setdefault(meta["labels"][NAME], []).append(meta["annotations"][naming.VERSION])
        return {name: sorted(each, key=number, reverse=True) for name, each in found.items()}

    def set(self, name: str, value: str) -> str:
        """Store the next version of a secret; return its name."""
        known = self.versions().get(name, ["_v0"])
        made = f"{self._stack}_{name}_v{number(known[0]) + 1}"
        meta = naming.metadata(
            naming.version(self._stack, made), self._stack,
            labels={naming.KIND: SECRET, NAME: name}, annotations={naming.VERSION: made},
        )  # fmt: skip
        base = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "immutable": True}
        text = b64encode(value.encode()).decode()
        if self._cluster.create({**base, "type": "Opaque", "data": {VALUE: text}}) is None:
            raise TaskError(
                f"{name} was set by another user just now", "set it again if yours must win"
            )
        return made

    def values(self) -> dict[str, str]:
        """Return the newest value of each secret."""
        return {name: self._value(each[0]) for name, each in self.versions().items()}

    def _value(self, version: str) -> str:
        found = self._cluster.get("Secret", naming.version(self._stack, version))
        return b64decode((found or {})["data"][VALUE]).decode()

    def remove(self, names: list[str]) -> None:
        """Delete versions."""
        for name in names:
            self._cluster.delete("Secret", naming.version(self._stack, name))


def login(stack: str, auth: str) -> dict[str, Any]:
    """Return the object with which the cluster pulls images; auth: Login.header."""
    given = _given(auth)
    pair = b64encode(f"{given['username']}:{given['password']}".encode()).decode()
    config = json.dumps({"auths": {given["serveraddress"]: {"auth": pair}}})
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": naming.metadata(LOGIN, stack),
        "type": "kubernetes.io/dockerconfigjson",
        "data": {CONFIG: b64encode(config.encode()).decode()},
    }


def stored_login(cluster: Cluster) -> str:
    """Return the login with which a cluster pulls images, as Login.header; empty without one."""
    found = cluster.get("Secret", LOGIN)
    if not found:
        return ""
    config = json.loads(b64decode(found["data"][CONFIG]))
    ((host, entry),) = config["auths"].items()
    user, _, password = b64decode(entry["auth"]).decode().partition(":")
    text = json.dumps({"username": user, "password": password, "serveraddress": host})
    return urlsafe_b64encode(text.encode()).decode()


def may_replace_login(cluster: Cluster, auth: str) -> bool:
    """Return whether a lasting login is another one than what is stored, and may be denied now."""
    known = stored_login(cluster)
    return bool(known) and auth not in ("", known) and not [*problems(auth)]


def problems(auth: str) -> Iterator[str]:
    """Yield why a cluster cannot pull with a login: it does so whenever a pod comes to a node."""
    given = _given(auth) if auth else {}
    user, word = given.get("username", ""), given.get("password", "")
    where = f"the login to {given.get('serveraddress')}"
    if "identitytoken" in given:
        yield f"{where} is an identity token, which no node takes - log in with a password"
    elif user == JOB or word.startswith(JOB_TOKEN):
        hint = "make a deploy token: GitLab gives one called gitlab-deploy-token to each job"
        yield f"{where} ends with this job, and pods that start later could not pull - {hint}"


def _given(auth: str) -> dict[str, str]:
    return dict(json.loads(urlsafe_b64decode(auth)))


def number(version: str) -> int:
    """Return the number of a secret's version."""
    found = re.search(r"_v(\d+)$", version)
    return int(found[1]) if found else 0
