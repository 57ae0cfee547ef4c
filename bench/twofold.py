"""The app twice in each process of a web server: as METRICS has it, and at ?without as if unset.

Two servers would differ by more than what is to be measured, each by where its memory lies.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler

django.setup()
counted = WSGIHandler()
settings.MIDDLEWARE = settings.MIDDLEWARE[1:]
plain = WSGIHandler()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer a request."""
    handler = plain if environ["QUERY_STRING"] == "without" else counted
    return handler(environ, start_response)
