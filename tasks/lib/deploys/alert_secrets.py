"""Alertmanager as it runs: where it sends alerts, and the secrets that it has for that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

from ..docker.cli import DockerError
from ..errors import ExitCode, TaskError
from ..messages import receivers
from ..orchestrators.base import Orchestrator
from .alerting import ALERTMANAGER, FOLDER, Way, trial
from .measured import Json

# Its user, who alone can read them.
USER = "65534"
# How its labels begin that say where alerts go. Their values are the versions of the secrets, or
# that none is needed.
LABEL, PLAIN = "alerts.", "-"
# Compares a secret of its container with what it reads: a value is in no argument.
SAME = f'given=$(cat); [ "$given" = "$(cat {FOLDER}/%s)" ] && echo same || true'
# What this run may not know of what runs: in words, and what sets it.
WORDS = {
    "chat": ("the chat", "INVOKE_MESSAGES_SLACK or messages.slack"),
    "mail": ("mail", "messages.mail"),
    "login": ("the password of the mail server", receivers.MAIL),
    "webhook": ("the webhook", "INVOKE_MONITORING_WEBHOOK or monitoring.webhook"),
}


def with_secrets(
    config: Mapping[str, Any], ways: Iterable[Way], versions: Mapping[str, str]
) -> Json:
    """Return a configuration of Compose in which Alertmanager has its secrets, and says so.

    Args:
        versions: that of each secret.
    """
    service = config["services"][ALERTMANAGER]
    deploy = service.get("deploy") or {}
    labels = {LABEL + way.kind: versions.get(way.secret, PLAIN) for way in ways}
    uses = [{"source": each, "uid": USER, "gid": USER, "mode": 0o400} for each in versions]
    made = {**service, "secrets": uses}
    made["deploy"] = {**deploy, "labels": {**(deploy.get("labels") or {}), **labels}}
    secrets = {key: {"external": True, "name": each} for key, each in versions.items()}
    return {
        **config,
        "services": {**config["services"], ALERTMANAGER: made},
        "secrets": {**config.get("secrets", {}), **secrets},
    }


def stored(orchestrator: Orchestrator, ways: Iterable[Way]) -> dict[str, str]:
    """Return the version of each secret: the one that runs, or a new one for another value."""
    known = now(orchestrator)
    found = {}
    for way in ways:
        if way.value:
            version = known.get(way.kind, PLAIN)
            same = version != PLAIN and _same(orchestrator, way)
            found[way.secret] = version if same else orchestrator.set_secret(way.secret, way.value)
    return found


def _same(orchestrator: Orchestrator, way: Way) -> bool:
    def write(stdin: BinaryIO) -> None:
        stdin.write(way.value.encode())

    with suppress(DockerError):
        return bool(orchestrator.feed(ALERTMANAGER, SAME % way.secret, write))
    return False


def now(orchestrator: Orchestrator) -> dict[str, str]:
    """Return the kinds of ways that alerts go now, each with the version of its secret."""
    service = orchestrator.services().get(ALERTMANAGER)
    labels = service.labels if service else {}
    return {key.removeprefix(LABEL): each for key, each in labels.items() if key.startswith(LABEL)}


def require_known(orchestrator: Orchestrator, ways: Sequence[Way], environment: str) -> None:
    """Raise TaskError if alerts go a way now that this run does not know."""
    used, known = now(orchestrator), {way.kind: way for way in ways}
    lost = [kind for kind in used if kind not in known]
    if "mail" in known and not known["mail"].value and used.get("mail", PLAIN) != PLAIN:
        lost.append("login")
    if lost:
        using, settings = zip(
            *(WORDS.get(kind, (kind, kind)) for kind in sorted(lost)), strict=True
        )
        what = f"alerts use {' and '.join(using)} now, which this run does not know"
        hint = (
            f"set {' and '.join(settings)}; to drop it, inv monitor.down --env={environment} first"
        )
        raise TaskError(what, hint, ExitCode.REFUSED)


def try_it(orchestrator: Orchestrator, environment: str) -> None:
    """Raise an alert that is over after a minute. Raises TaskError if no Alertmanager runs."""
    if orchestrator.feed(ALERTMANAGER, trial(environment), lambda _: None) is None:
        hint = f"inv monitor.up --env={environment}"
        raise TaskError(f"no Alertmanager runs for {environment}", hint, ExitCode.REFUSED)
