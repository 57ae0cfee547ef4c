"""The login to a registry: from CI's variables, or from the user's own docker login."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import TaskError
from .reference import HUB

# GitLab's variables, in this order: the job's own login, and a deploy token's.
PAIRS = (
    ("CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD"),
    ("CI_DEPLOY_USER", "CI_DEPLOY_PASSWORD"),
)


@dataclass(frozen=True)
class Login:
    """A name and a password, where they come from, and whether docker knows them already.

    Args:
        token: the password is an identity token, which only a token service takes.
    """

    host: str
    user: str
    password: str = field(repr=False)
    origin: str
    stored: bool = False
    token: bool = False

    def __str__(self) -> str:
        return f"as {self.user or 'a token'} (from {self.origin})"


def find(host: str, env: Mapping[str, str] = os.environ) -> Login | None:
    """The login to a registry, or None when nothing tells one.

    Variables count only for the registry that CI_REGISTRY names: no other is sent a password.
    """
    if env.get("CI_REGISTRY") == host:
        for user, password in PAIRS:
            if env.get(user) and env.get(password):
                return Login(host, env[user], env[password], password)
    return _from_docker(host, folder(env))


def folder(env: Mapping[str, str] = os.environ) -> Path:
    """Where docker keeps its configuration."""
    return Path(env.get("DOCKER_CONFIG") or Path.home() / ".docker")


def config(path: Path) -> dict[str, Any]:
    """Docker's configuration in a folder. Raises TaskError for one that is no JSON."""
    file = path / "config.json"
    try:
        return dict(json.loads(file.read_text("utf-8")))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise TaskError(
            f"{file}: not valid JSON: {error}", "mend it, or docker login again"
        ) from None


def _from_docker(host: str, path: Path) -> Login | None:
    known = config(path)
    # Docker Hub's entry bears the address of its first API.
    key = "https://index.docker.io/v1/" if host == HUB else host
    helper = known.get("credHelpers", {}).get(key) or known.get("credsStore")
    if helper and (found := _ask(helper, key)):
        user, password = found["Username"], found["Secret"]
        return Login(host, user, password, f"docker-credential-{helper}", True, user == "<token>")
    for name, entry in known.get("auths", {}).items():
        if name not in {key, f"https://{key}", f"https://{key}/v1/", f"https://{key}/v2/"}:
            continue
        if entry.get("identitytoken"):
            return Login(host, "", entry["identitytoken"], str(path), True, True)
        if entry.get("auth"):
            user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
            return Login(host, user, password.rstrip("\0"), str(path / "config.json"), True)
    return None


def _ask(helper: str, key: str) -> dict[str, str] | None:
    """What a credential helper of docker's knows of a registry; None when it knows nothing."""
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run([program, "get"], input=key, capture_output=True, text=True)
    except FileNotFoundError:
        raise TaskError(f"{program} is not installed", "docker's config.json wants it") from None
    if done.returncode == 0:
        return dict(json.loads(done.stdout))
    said = (done.stdout + done.stderr).strip()
    if "not found" in said:
        return None
    raise TaskError(f"{program}: {said}", "log in again, or mend docker's config.json")
