"""Requests to a cluster: sent again if their failure may pass, and a refusal is one line."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..errors import TaskError
from . import connection, objects

T = TypeVar("T")
# The pauses before a request is sent again: each of ours may be.
PAUSES = (0.2, 0.5, 1, 2, 4)
PASSING = {429, 500, 502, 503, 504}
MISSING, CONFLICT, DENIED = 404, 409, 403
HINTS = {
    connection.UNKNOWN: "sign in again, or renew the token or the certificate of the kubeconfig",
    DENIED: "let the user do that in this namespace",
    MISSING: "inv server.setup makes the namespace",
}


class ClusterError(TaskError):
    """A cluster refused a request; `status` is that of HTTP, or 0 if there was no answer."""

    def __init__(self, where: str, what: str, status: int = 0) -> None:
        super().__init__(f"{where}: {what}", HINTS.get(status, ""))
        self.status, self.reason = status, what


def call(
    where: str, ready: Callable[[], bool], work: Callable[..., Any], *words: Any, **options: Any
) -> Any:
    """Send a request, again if its failure may pass; return the answer as dictionaries.

    Args:
        ready: whether the API server is; one that has just started denies everybody everything.
    """
    return _send(where, PAUSES, lambda: work(*words, **options), ready)


def once(where: str, work: Callable[..., Any], *words: Any) -> Any:
    """Send a request that may not be sent twice; return the answer."""
    return _send(where, (), lambda: work(*words))


def _send(
    where: str,
    pauses: Sequence[float],
    work: Callable[[], Any],
    ready: Callable[[], bool] = lambda: True,
) -> Any:
    import httpx2

    for pause in (*pauses, None):
        try:
            return objects.plain(work())
        except httpx2.HTTPStatusError as error:
            status = error.response.status_code if error.response else 0
            passing = status in PASSING or (status == DENIED and not ready())
            if pause is None or not passing:
                raise ClusterError(where, _line(error), status) from None
        except httpx2.HTTPError as error:
            if pause is None:
                url = error.request.url
                what = f"no answer from {url.scheme}://{url.netloc.decode()}: {_line(error)}"
                raise ClusterError(where, what) from None
        except Exception as error:
            if not type(error).__module__.startswith("httpx2.websockets"):
                raise
            answer = getattr(error, "response", None)
            what = f"no WebSocket for a command: {_line(error) or type(error).__name__}"
            raise ClusterError(where, what, answer.status_code if answer else 0) from None
        time.sleep(pause)
    raise AssertionError


def unless(status: int, work: Callable[[], T]) -> T | None:
    """Return the result of a request; None if it is refused with a status."""
    try:
        return work()
    except ClusterError as error:
        if error.status != status:
            raise
        return None


def _line(error: Any) -> str:
    """Return what an answer says of a refusal, on one line."""
    return " ".join(str(error).split())
