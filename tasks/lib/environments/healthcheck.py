"""What the app answers at its address, as a user sees it."""

from __future__ import annotations

import time
from contextlib import suppress

from .. import http_client
from ..errors import TaskError
from ..project import contract

# The app's own answer when it fails, and how many of them in a row are proof.
ERROR, SURE = 500, 10
# Seconds until the next request after a wrong answer.
POLL = 0.1
# Good answers in a row, for each replica and at least: often enough that a leftover old replica
# would almost certainly be noticed (it is missed at most once in a thousand times).
TIMES, LEAST = 8, 20


def verify(url: str, revision: str, replicas: int = 1, timeout: float = 20) -> None:
    """Check that the app answers at its address, with the wanted version and no other.

    Args:
        timeout: seconds that it may take from the first answer that is not the wanted one.
    Raises TaskError with the last answer otherwise.
    """
    client = http_client.HttpClient()
    good, errors, deadline = 0, 0, 0.0
    while good < max(TIMES * replicas, LEAST):
        failure = probe(f"{url}{contract.LIVEZ}", revision, client)
        if good < 2 * replicas:
            failure = failure or probe(f"{url}{contract.PAGE}", "", client)
        good = 0 if failure else good + 1
        deadline = deadline or (time.monotonic() + timeout if failure else 0)
        errors = errors + 1 if failure.endswith(f" answers {ERROR}") else 0
        if errors == SURE or (failure and time.monotonic() > deadline):
            raise TaskError(failure)
        if failure:
            time.sleep(POLL)


def probe(url: str, revision: str = "", client: http_client.HttpClient | None = None) -> str:
    """Return what is wrong with the answer of an address; empty when nothing is."""
    from urllib3.exceptions import HTTPError

    try:
        answer = (client or http_client.HttpClient()).send("GET", url)
    except HTTPError as error:
        return f"{url} does not answer: {http_client.cause(error)[:200]}"
    if answer.status >= 400:
        return f"{url} answers {answer.status}"
    try:
        runs = str(answer.json()["version"]) if revision else ""
    except (ValueError, KeyError, TypeError):
        return f"{url} answers {answer.status}, but without a version"
    wrong = f"{url} answers with version {runs[:12]}, not {revision[:12]}"
    return wrong if runs != revision else ""


def version(url: str) -> str:
    """Return the version that the app answers with; empty when there is none."""
    from urllib3.exceptions import HTTPError

    with suppress(HTTPError, ValueError, AttributeError):
        answer = http_client.HttpClient().send("GET", f"{url}{contract.LIVEZ}")
        return str(answer.json().get("version", ""))
    return ""
