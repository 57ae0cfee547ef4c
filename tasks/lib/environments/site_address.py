"""What can be known of the site's address before a deploy changes anything."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from .. import console, http_client
from . import healthcheck
from .connection import Target

# Seconds to connect, and to wait for the answer.
QUICK = (2, 2)
INSTEAD = "add --no-verify-url, which checks the site on its server"


def problems(target: Target) -> list[str]:
    """Return why this machine cannot reach the site; warn of what may have changed by then."""
    if not target.verify_url:
        return []
    host = urlsplit(target.url).hostname or ""
    # A proxy resolves names itself.
    if not http_client.proxy(target.url) and not _resolves(host):
        return [f"{target.url}: {host} does not resolve - create its DNS record, or {INSTEAD}"]
    probes, client = target.settings.app.probes, http_client.HttpClient(QUICK)
    answer = healthcheck.alive(target.url, probes, client=client)
    # Before the first deploy nothing listens.
    if not answer.reached and "refused" not in answer.failure:
        console.warn(f"{answer.failure}: if it stays so, the deploy fails; {INSTEAD}")
    return []


def _resolves(host: str) -> bool:
    try:
        return bool(socket.getaddrinfo(host, None))
    except (OSError, UnicodeError):
        return False
