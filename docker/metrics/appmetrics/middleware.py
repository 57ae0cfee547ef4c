"""Counts and times requests, by view: never by path, of which a client can make up any number."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from functools import cache
from inspect import iscoroutinefunction
from time import perf_counter
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from prometheus_client import Counter, Gauge, Histogram

from . import OTHER, RELEASE

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
# Requests that reach no view: to a path of none, and those that a middleware answers.
UNKNOWN, NO_VIEW = "(unknown)", "(none)"
# How many views have a name of their own; the others share one.
MOST = 300
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

REQUESTS = Counter(
    "app_requests", "Requests that were answered", ["view", "method", "status", "release"]
)
SECONDS = Histogram(
    "app_request_seconds", "Time to answer a request", ["view", "release"], buckets=BUCKETS
)
if "uwsgi" not in sys.modules:
    BUSY = Gauge("app_requests_in_progress", "Requests that run", multiprocess_mode="sum")
_views: set[str] = set()


@sync_and_async_middleware
def measured(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Return what answers a request and counts it."""
    if iscoroutinefunction(get_response):
        return _later(get_response)

    def answer(request: HttpRequest) -> HttpResponse:
        began = perf_counter()
        with BUSY.track_inprogress():
            response = get_response(request)
        return count(request, response, perf_counter() - began)

    def alone(request: HttpRequest) -> HttpResponse:
        began = perf_counter()
        return count(request, get_response(request), perf_counter() - began)

    # uWSGI itself says what it is busy with: see serve.py.
    return alone if "uwsgi" in sys.modules else answer


def _later(
    get_response: Callable[[HttpRequest], Awaitable[HttpResponse]],
) -> Callable[[HttpRequest], Awaitable[HttpResponse]]:
    """Return the same for ASGI."""

    async def answer(request: HttpRequest) -> HttpResponse:
        began = perf_counter()
        with BUSY.track_inprogress():
            response = await get_response(request)
        return count(request, response, perf_counter() - began)

    return answer


def count(request: HttpRequest, response: HttpResponse, seconds: float) -> HttpResponse:
    """Count a request that was answered, and return its answer."""
    name = view(request, response)
    method = str(request.method) if request.method in METHODS else OTHER
    status = response.status_code if 100 <= response.status_code < 600 else OTHER
    counter, timer = series(name, method, str(status))
    counter.inc()
    timer.observe(seconds)
    return response


@cache
def series(name: str, method: str, status: str) -> tuple[Counter, Histogram]:
    """Return what counts and what times requests with these labels."""
    labels = REQUESTS.labels(name, method, status, RELEASE)
    return labels, SECONDS.labels(name, RELEASE)


def view(request: HttpRequest, response: HttpResponse) -> str:
    """Return the name of a request's view, as the URL patterns have it."""
    match = getattr(request, "resolver_match", None)
    if match is None:
        return UNKNOWN if response.status_code == 404 else NO_VIEW
    name = str(match.view_name)
    if name not in _views and len(_views) >= MOST:
        return OTHER
    _views.add(name)
    return name
