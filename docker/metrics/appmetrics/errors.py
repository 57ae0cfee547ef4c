"""Sends what fails in requests and jobs to Sentry: where and why, not what a client sent."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import sentry_sdk
from sentry_sdk.integrations.logging import ignore_logger
from sentry_sdk.utils import BadDsn

from . import RELEASE, SECRETS, given

# Seconds that a process which ends waits for what it has not sent yet.
PATIENCE = 2
# What is shorter than this may be a word like others.
SHORTEST = 8


def start() -> None:
    """Begin to send. Ends the process with one line if the DSN is none."""
    dsn = given("SENTRY_DSN")
    try:
        # What the SDK itself leaves out (send_default_pii) is not all that a client sends.
        sentry_sdk.init(
            dsn=dsn,
            release=RELEASE,
            include_local_variables=False,
            max_request_body_size="never",
            before_send=reduced,
            before_breadcrumb=logged,
            shutdown_timeout=PATIENCE,
        )
    except BadDsn:
        dsn = ""
    if not dsn:
        sys.exit("monitoring.errors: the secret SENTRY_DSN must be https://KEY@HOST/PROJECT.")
    sentry_sdk.get_global_scope().set_tag("role", os.environ.get("ROLE", ""))
    # Only in the log: what a client alone can cause, and that traces cannot be sent.
    for name in ("django.security.*", "opentelemetry.*"):
        ignore_logger(name)


def reduced(event: dict[str, Any], _: object) -> dict[str, Any]:
    """Return an event with nothing of its request but the method and the ID, and without secrets.

    The view is its transaction; also the path of an address may have a token.
    """
    if request := event.pop("request", None):
        event["request"] = {"method": request.get("method")}
        if number := (request.get("headers") or {}).get("X-Request-Id"):
            event["tags"] = {**(event.get("tags") or {}), "request_id": number}
    # Django adds it to what it logs, and its text has the query.
    (event.get("extra") or {}).pop("request", None)
    return masked(event, {*secrets()})


def masked(value: Any, hidden: set[str]) -> Any:
    """Return a value in whose texts, such as an error's, nothing is that is to be hidden."""
    if isinstance(value, dict):
        return {key: masked(each, hidden) for key, each in value.items()}
    if isinstance(value, list):
        return [masked(each, hidden) for each in value]
    for text in hidden if isinstance(value, str) else ():
        value = value.replace(text, "[Filtered]")
    return value


def secrets() -> Iterator[str]:
    """Yield the secrets of this container."""
    for file in SECRETS.iterdir() if SECRETS.is_dir() else ():
        with suppress(OSError, ValueError):
            if len(text := file.read_text().strip()) >= SHORTEST:
                yield text


def logged(crumb: dict[str, Any], _: object) -> dict[str, Any] | None:
    """Return a line of the log that led to an error, without what is added to it; no call."""
    if crumb.get("type") != "log":
        return None
    return {key: value for key, value in crumb.items() if key != "data"}
