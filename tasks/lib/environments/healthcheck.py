"""What the app answers at its address, as a user sees it."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from .. import http_client
from ..errors import TaskError
from ..project.app_settings import Probes

# The app's own answer when it fails, and how many of them in a row are proof; the proxy's when it
# finds no replica.
ERROR, SURE, AWAY = 500, 10, 503
# Seconds until the next request after a wrong answer.
POLL = 0.1
# Good answers in a row, for each replica and at least: often enough that a leftover old replica
# would almost certainly be noticed (it is missed at most once in a thousand times).
TIMES, LEAST = 8, 20
# Seconds that the right answer may take to come after a wrong one; and after another version's, or
# none of the app's: a cluster's DNS may for 30 s name what was replaced, or nothing yet.
PATIENCE, REPLACED = 20, 45
# What a proxy that lets only some users through answers to others.
LOGIN = (401, 403, 407)


class NotReached(TaskError):
    """No request reached the site: its name, its certificate or the network is the reason."""

    def __init__(self, what: str) -> None:
        hint = "correct it, or add --no-verify-url, which checks the site on its server"
        super().__init__(f"{what}: this machine has not reached the site", hint)


@dataclass(frozen=True)
class Answer:
    """What an address answered.

    Args:
        failure: what is wrong with it; empty when nothing is.
        version: the app's version; empty if the answer has none.
        status: the status of an answer that is an error; else 0.
        reached: whether the site itself answered, as far as can be known.
    """

    failure: str = ""
    version: str = ""
    reached: bool = True
    status: int = 0


def verify(
    url: str, probes: Probes, revision: str, replicas: int = 1, timeout: float = REPLACED
) -> None:
    """Check that the app answers at its address, with the wanted version and no other.

    Args:
        probes: the paths to request; the version counts if one of them answers with it.
        timeout: seconds that it may take at most, from the first answer that is not the wanted one.
    Raises TaskError with the last answer otherwise, NotReached if none came from the site.
    """
    client = http_client.HttpClient()
    good, errors, began, reached = 0, 0, 0.0, False
    while good < times(replicas):
        answer = alive(url, probes, revision, client)
        if good < 2 * replicas and not answer.failure:
            answer = ask(url, probes.page, "", client)
        failure, reached = answer.failure, reached or answer.reached
        good = 0 if failure else good + 1
        began = began or (time.monotonic() if failure else 0)
        kept = answer.version or answer.status == AWAY
        patience = min(timeout, REPLACED if kept else PATIENCE)
        errors = errors + 1 if answer.status == ERROR else 0
        if errors == SURE or (failure and time.monotonic() - began > patience):
            raise TaskError(failure) if reached else NotReached(failure)
        if failure:
            time.sleep(POLL)


def times(replicas: int) -> int:
    """Return how many good answers in a row are proof."""
    return max(TIMES * replicas, LEAST)


def alive(
    site: str, probes: Probes, revision: str = "", client: http_client.HttpClient | None = None
) -> Answer:
    """Ask a site's probe whether the app is alive, or its page if it has no such probe."""
    wanted = revision if probes.version else ""
    return ask(site, probes.live or probes.page, wanted, client, stays=bool(probes.live))


def ask(
    site: str,
    path: str = "/",
    revision: str = "",
    client: http_client.HttpClient | None = None,
    stays: bool = False,
) -> Answer:
    """Ask a site for a path; the answer must have a version, unless that is empty.

    Args:
        stays: whether the path redirects to no other host.
    """
    from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError

    url = f"{site}{path}"
    try:
        response = (client or http_client.HttpClient()).send("GET", url)
    except HTTPError as error:
        # Who is connected has reached the site, or what is in front of it.
        connected = type(getattr(error, "reason", error)) in (ProtocolError, ReadTimeoutError)
        failure = f"{url} does not answer: {http_client.cause(error)[:200]}"
        return Answer(failure, reached=connected)
    if response.status >= 400:
        status = response.status
        return Answer(f"{url} answers {status}", reached=status not in LOGIN, status=status)
    version = ""
    with suppress(ValueError, KeyError, TypeError):
        version = str(response.json()["version"])
    host = urlsplit(response.url or url).netloc
    if not version and stays and host != urlsplit(site).netloc:
        return Answer(f"{url} redirects to {host}", reached=False)
    if version == revision or not revision:
        return Answer("", version)
    if not version:
        return Answer(f"{url} answers {response.status}, but without a version")
    return Answer(f"{url} answers with version {version[:12]}, not {revision[:12]}", version)
