"""Find the login to a registry: in CI's variables, or where docker login stored it."""

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import redaction
from ..errors import TaskError
from .reference import HUB

CORRECT = "correct it, or run docker login again"
# GitLab's variables, in order of precedence: the job's own login, a deploy token.
PAIRS = (("CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD"), ("CI_DEPLOY_USER", "CI_DEPLOY_PASSWORD"))


@dataclass(frozen=True)
class Login:
    """A user and a password for a registry.

    Args:
        origin: where they come from, for messages.
        stored: docker itself has stored them.
        token: the password is an identity token, which only a token service accepts.
    """

    host: str
    user: str
    password: str = field(repr=False)
    origin: str
    stored: bool = False
    token: bool = False

    def __post_init__(self) -> None:
        redaction.know("password", self.password)

    @property
    def header(self) -> str:
        """The login as an engine's API takes it for its own pulls."""
        given = {"username": self.user, "password": self.password}
        parts = {"identitytoken": self.password} if self.token else given
        text = json.dumps({**parts, "serveraddress": self.host})
        return base64.urlsafe_b64encode(text.encode()).decode()

    @classmethod
    def of_header(cls, header: str, origin: str) -> "Login":
        """Return the login that a header has."""
        given = json.loads(base64.urlsafe_b64decode(header))
        return cls(given["serveraddress"], given["username"], given["password"], origin)

    def __str__(self) -> str:
        who = f"as {self.user}" if self.user else "with an identity token"
        return f"{who} (from {self.origin})"


def find(host: str, env: Mapping[str, str] = os.environ, lasting: bool = False) -> Login | None:
    """Return the login to a registry; None without one.

    Variables apply only to the registry in CI_REGISTRY: no other may get the password.

    Args:
        lasting: rather a deploy token than the job's own login, which ends with the job.
    """
    if env.get("CI_REGISTRY") == host:
        for user, password in PAIRS[::-1] if lasting else PAIRS:
            if env.get(user) and env.get(password):
                return Login(host, env[user], env[password], password)
    try:
        return _from_docker(host, folder(env))
    except (AttributeError, KeyError, TypeError, ValueError):
        what = f"{folder(env) / 'config.json'}: the login to {host} cannot be read"
        raise TaskError(what, CORRECT) from None


def folder(env: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of docker's configuration."""
    return Path(env.get("DOCKER_CONFIG") or Path.home() / ".docker")


def config(path: Path) -> dict[str, Any]:
    """Return docker's configuration in a folder. Raises TaskError if it is not valid JSON."""
    file = path / "config.json"
    try:
        found = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise TaskError(f"{file}: not valid JSON: {error}", CORRECT) from None
    if not isinstance(found, dict):
        raise TaskError(f"{file}: not a docker configuration", CORRECT)
    return found


def _from_docker(host: str, path: Path) -> Login | None:
    known = config(path)
    # Docker itself has written null for none.
    helpers, auths = (known.get(key) or {} for key in ("credHelpers", "auths"))
    # Docker stores Docker Hub's login under the address of its first API.
    key = "https://index.docker.io/v1/" if host == HUB else host
    helper = helpers.get(key) or known.get("credsStore")
    if helper and (found := _query_helper(helper, key)):
        user, password = found["Username"], found["Secret"]
        return Login(host, user, password, f"docker-credential-{helper}", True, user == "<token>")
    for name, entry in auths.items():
        if name not in {key, f"https://{key}", f"https://{key}/v1/", f"https://{key}/v2/"}:
            continue
        if entry and entry.get("identitytoken"):
            return Login(host, "", entry["identitytoken"], str(path), True, True)
        if entry and entry.get("auth"):
            user, _, password = (
                base64.b64decode(entry["auth"], validate=True).decode().partition(":")
            )
            return Login(host, user, password.rstrip("\0"), str(path / "config.json"), True)
    return None


def _query_helper(helper: str, key: str) -> dict[str, str] | None:
    """Return what docker's credential helper has stored for a registry; None if nothing."""
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run([program, "get"], input=key, capture_output=True, text=True)
    except FileNotFoundError:
        hint = "install it, or remove it from docker's config.json"
        raise TaskError(f"{program} is not installed", hint) from None
    if done.returncode == 0:
        return dict(json.loads(done.stdout))
    output = (done.stdout + done.stderr).strip()
    if "not found" in output:
        return None
    raise TaskError(f"{program}: {output}", "run docker login again, or correct its config.json")
