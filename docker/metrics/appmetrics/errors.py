"""Sends what fails in requests and jobs to Sentry: where and why, not what a client sent.

The SDK's own integration of Django doubles the processor time of a request, for data that is not
to leave. Django says itself when a request fails.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import sentry_sdk
from django.core.signals import got_request_exception
from django.http import HttpRequest
from sentry_sdk.integrations.logging import ignore_logger
from sentry_sdk.utils import BadDsn, event_from_exception

from . import RELEASE, SECRETS, given

# Seconds that a process which ends waits for what it has not sent yet.
PATIENCE = 2
# What is shorter than this may be a word like others.
SHORTEST = 8
# What a database says of a value that it refuses: that value.
DETAIL = re.compile(r"\nDETAIL:[^\n]*")
# Only in the log: what a client alone can cause, and that traces cannot be sent.
LOGGED = ("django.request", "django.security.*", "opentelemetry.*")


def start() -> None:
    """Begin to send. Ends the process with one line if the DSN is none."""
    dsn = given("SENTRY_DSN")
    try:
        sentry_sdk.init(
            dsn=dsn,
            release=RELEASE,
            auto_enabling_integrations=False,
            integrations=[*_integrations()],
            include_local_variables=False,
            # They would be those of other requests.
            max_breadcrumbs=0,
            before_send=reduced,
            shutdown_timeout=PATIENCE,
        )
    except BadDsn:
        dsn = ""
    if not dsn:
        sys.exit("monitoring.errors: the secret SENTRY_DSN must be https://KEY@HOST/PROJECT.")
    sentry_sdk.get_global_scope().set_tag("role", os.environ.get("ROLE", ""))
    for name in LOGGED:
        ignore_logger(name)
    got_request_exception.connect(failed)


def _integrations() -> Iterator[Any]:
    if os.environ.get("APP_CELERY"):
        from sentry_sdk.integrations.celery import CeleryIntegration

        yield CeleryIntegration(propagate_traces=False)


def failed(request: HttpRequest | None = None, **_: object) -> None:
    """Report a request that failed: its view and its ID. A path may have a token."""
    options, how = sentry_sdk.get_client().options, {"type": "django", "handled": False}
    event, hint = event_from_exception(sys.exc_info(), client_options=options, mechanism=how)
    with sentry_sdk.new_scope() as scope:
        if request is not None:
            match = getattr(request, "resolver_match", None)
            scope.set_transaction_name(f"/{match.route}" if match else "(none)")
            scope.set_tag("method", request.method)
            if number := request.headers.get("X-Request-ID"):
                scope.set_tag("request_id", number)
        sentry_sdk.capture_event(event, hint=hint)


def reduced(event: dict[str, Any], _: object) -> dict[str, Any]:
    """Return an event without secrets, and without what Django adds to the log: the request."""
    (event.get("extra") or {}).pop("request", None)
    return masked(event, {*secrets()})


def masked(value: Any, hidden: set[str]) -> Any:
    """Return a value in whose texts, such as an error's, nothing is that is to be hidden."""
    if isinstance(value, dict):
        return {key: masked(each, hidden) for key, each in value.items()}
    if isinstance(value, list):
        return [masked(each, hidden) for each in value]
    if not isinstance(value, str):
        return value
    for text in hidden:
        value = value.replace(text, "[Filtered]")
    return DETAIL.sub("", value)


def secrets() -> Iterator[str]:
    """Yield the secrets of this container."""
    for file in SECRETS.iterdir() if SECRETS.is_dir() else ():
        with suppress(OSError, ValueError):
            if len(text := file.read_text().strip()) >= SHORTEST:
                yield text
