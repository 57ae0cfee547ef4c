"""What the app answers at its address, as a user would see it."""

from __future__ import annotations

import time

from .. import http_client
from ..deploys.rollout import RolloutError
from ..project import contract

# What the app itself answers when it fails, and how often in a row makes that sure.
ERROR, SURE = 500, 10
# Seconds until the next look, where the answer was not the wanted one.
POLL = 0.1
# Good answers in a row, for each replica and at least: they miss one old replica beside the new
# ones once in a thousand times at most.
TIMES, LEAST = 8, 20


def verify(url: str, revision: str, replicas: int = 1, timeout: float = 20) -> None:
    """See that the app answers at its address, with the wanted version and no other.

    Args:
        revision: what the liveness probe must say.
        replicas: how many there are.
        timeout: seconds that it may take from the first answer that is not the wanted one.
    Raises RolloutError with the last answer otherwise.
    """
    client = http_client.HttpClient()
    good, errors, deadline = 0, 0, 0.0
    while good < max(TIMES * replicas, LEAST):
        said = probe(f"{url}{contract.LIVEZ}", revision, client)
        if good < 2 * replicas:
            said = said or probe(f"{url}{contract.PAGE}", "", client)
        good = 0 if said else good + 1
        deadline = deadline or (time.monotonic() + timeout if said else 0)
        errors = errors + 1 if said.endswith(f" answers {ERROR}") else 0
        if errors == SURE or (said and time.monotonic() > deadline):
            raise RolloutError(said)
        if said:
            time.sleep(POLL)


def probe(url: str, revision: str = "", client: http_client.HttpClient | None = None) -> str:
    """What is wrong with the answer of an address; empty when nothing is."""
    from urllib3.exceptions import HTTPError

    try:
        answer = (client or http_client.HttpClient()).send("GET", url)
    except HTTPError as error:
        return f"{url} does not answer: {http_client.cause(error)[:200]}"
    if answer.status >= 400:
        return f"{url} answers {answer.status}"
    if revision:
        try:
            runs = answer.json()["version"]
        except (ValueError, KeyError, TypeError):
            return f"{url} answers {answer.status}, but tells no version"
        if runs != revision:
            return f"{url} answers with version {str(runs)[:12]}, not {revision[:12]}"
    return ""


def version(url: str) -> str:
    """The version that the app tells at its address; empty when it tells none."""
    from urllib3.exceptions import HTTPError

    try:
        answer = http_client.HttpClient().send("GET", f"{url}{contract.LIVEZ}")
        return str(answer.json().get("version", ""))
    except (HTTPError, ValueError, AttributeError):
        return ""
