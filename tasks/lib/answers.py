"""What the app answers at its address, as a user would see it."""

from __future__ import annotations

import time

from . import web
from .rollout import POLL, Broken

# What the app itself answers when it fails, and how often in a row makes that sure.
ERROR, SURE = 500, 4


def verify(url: str, revision: str, times: int, timeout: float = 20) -> None:
    """See that the app answers at its address, with the wanted version, several times in a row.

    Args:
        revision: what /livez must say; empty: any.
        times: how often in a row.
        timeout: seconds that it may take.
    Raises Broken with the last answer otherwise.
    """
    good, errors, deadline = 0, 0, time.monotonic() + timeout
    while good < times:
        said = probe(f"{url}/livez", revision) or probe(f"{url}/", "")
        good = 0 if said else good + 1
        errors = errors + 1 if said.endswith(f" answers {ERROR}") else 0
        if errors == SURE or (said and time.monotonic() > deadline):
            raise Broken(said)
        if said:
            time.sleep(POLL)


def probe(url: str, revision: str) -> str:
    """What is wrong with the answer of an address; empty when nothing is."""
    from urllib3.exceptions import HTTPError

    try:
        answer = web.Web().send("GET", url)
    except HTTPError as error:
        return f"{url} does not answer: {web.cause(error)[:200]}"
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
        return str(web.Web().send("GET", f"{url}/livez").json().get("version", ""))
    except (HTTPError, ValueError, AttributeError):
        return ""
