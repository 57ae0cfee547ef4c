"""HTTP: with this machine's certificates, and through the proxy that its variables name."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager, Retry

# How many redirects are followed.
REDIRECTS = 10


def basic(user: str, password: str) -> str:
    """The header's value that tells a name and a password."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def cause(error: Exception) -> str:
    """Why a request failed, in one line."""
    found = getattr(error, "reason", error)
    behind = getattr(found, "original_error", None)
    text = re.sub(r"\[Errno -?\d+\] ", "", str(behind or found).rpartition(": ")[2])
    return " ".join(f"{'its proxy: ' if behind else ''}{text}".split())


def proxy(url: str) -> str:
    """The proxy for an address, as the variables HTTP(S)_PROXY and NO_PROXY say; empty for none."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return ""
    from urllib.request import getproxies, proxy_bypass

    where, known = urlsplit(url), getproxies()
    if proxy_bypass(where.netloc) or _within(where.hostname or "", known.get("no", "")):
        return ""
    found = known.get(where.scheme) or known.get("all", "")
    return found if not found or "://" in found else f"http://{found}"


def _within(host: str, networks: str) -> bool:
    """Whether a host's address is in one of some networks, such as 10.0.0.0/8."""
    for network in networks.split(","):
        try:
            if ip_address(host) in ip_network(network.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False


class HttpClient:
    """Sends requests.

    Args:
        timeout: seconds to connect, and to wait for an answer.
        retries: when and how often to send a request again; without it, never.
        ca: a file with the certificate authority to trust; empty: this machine's.
    """

    def __init__(
        self, timeout: tuple[float, float] = (10, 10), retries: Retry | None = None, ca: str = ""
    ) -> None:
        self.timeout, self.retries, self.ca = timeout, retries, ca
        self._ways: dict[str, PoolManager] = {}

    def send(
        self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> BaseHTTPResponse:
        """Send a request, and follow redirects, to other hosts without the login.

        Raises urllib3.exceptions.HTTPError when there is no whole answer.
        """
        from urllib3.exceptions import HTTPError

        headers = dict(headers or {})
        for _ in range(REDIRECTS + 1):
            answer = self._way(url).request(
                method, url, body=body or None, headers=headers, redirect=False
            )
            location = answer.get_redirect_location()
            if not location:
                return answer
            location = urljoin(url, location)
            if urlsplit(location)[:2] != urlsplit(url)[:2]:
                headers.pop("Authorization", None)
            if answer.status == 303 and method != "HEAD":
                method, body = "GET", b""
            url = location
        raise HTTPError(f"more than {REDIRECTS} redirects")

    def _way(self, url: str) -> PoolManager:
        """The open connections, straight or through the proxy that is for this address."""
        from urllib3 import PoolManager, ProxyManager, Retry, Timeout

        name = proxy(url)
        if name not in self._ways:
            connect, read = self.timeout
            options: dict[str, Any] = {
                "maxsize": 8,
                "timeout": Timeout(connect=connect, read=read),
                "retries": self.retries or Retry(0, read=False),
                "ca_certs": self.ca or None,
            }
            self._ways[name] = (
                ProxyManager(name, proxy_headers=_login(name), **options)
                if name
                else PoolManager(**options)
            )
        return self._ways[name]


def _login(url: str) -> dict[str, str]:
    """The header for a proxy's login, which is part of its address."""
    where = urlsplit(url)
    if where.username is None:
        return {}
    found = basic(unquote(where.username), unquote(where.password or ""))
    return {"Proxy-Authorization": found}
