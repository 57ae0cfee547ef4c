"""HTTP, with this machine's certificates and the proxy of the environment variables."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager, Retry

# The most redirects to follow.
REDIRECTS = 10


def basic(user: str, password: str) -> str:
    """Return the header's value for basic authentication."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def cause(error: Exception) -> str:
    """Return why a request failed, in one line."""
    reason = getattr(error, "reason", error)
    proxy_error = getattr(reason, "original_error", None)
    text = re.sub(r"\[Errno -?\d+\] ", "", str(proxy_error or reason).rpartition(": ")[2])
    return " ".join(f"{'its proxy: ' if proxy_error else ''}{text}".split())


def proxy(url: str) -> str:
    """Return the proxy for a URL, by HTTP(S)_PROXY and NO_PROXY; empty for none."""
    parts, proxies = urlsplit(url), getproxies_environment()
    if proxy_bypass(parts.netloc) or _is_within(parts.hostname or "", proxies.get("no", "")):
        return ""
    address = proxies.get(parts.scheme) or proxies.get("all", "")
    return address if not address or "://" in address else f"http://{address}"


def _is_within(host: str, networks: str) -> bool:
    """Return whether an address is in one of some networks, such as 10.0.0.0/8."""
    for network in networks.split(","):
        with suppress(ValueError):
            if ip_address(host) in ip_network(network.strip(), strict=False):
                return True
    return False


class HttpClient:
    """Sends requests.

    Args:
        timeout: seconds to connect, and to wait for a response.
        retries: when and how often to retry a request; without it, never.
        ca: a file with the certificate authority to trust; empty for this machine's.
    """

    def __init__(
        self, timeout: tuple[float, float] = (10, 10), retries: Retry | None = None, ca: str = ""
    ) -> None:
        self.timeout, self.retries, self.ca = timeout, retries, ca
        self._pools: dict[str, PoolManager] = {}

    def send(
        self,
        method: str,
        url: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        follow: bool = True,
    ) -> BaseHTTPResponse:
        """Send a request and follow redirects, to other hosts without its Authorization header.

        Args:
            follow: False returns a redirect itself.

        The response's `url` is the one that answered.

        Raises urllib3.exceptions.HTTPError if there is no complete response.
        """
        from urllib3.exceptions import HTTPError

        headers = dict(headers or {})
        for _ in range(REDIRECTS + 1):
            response = self._pool(url).request(
                method, url, body=body or None, headers=headers, redirect=False
            )
            location = response.get_redirect_location()
            if not location or not follow:
                response.url = url
                return response
            location = urljoin(url, location)
            if urlsplit(location)[:2] != urlsplit(url)[:2]:
                headers.pop("Authorization", None)
            if response.status == 303 and method != "HEAD":
                method, body = "GET", b""
            url = location
        raise HTTPError(f"more than {REDIRECTS} redirects")

    def _pool(self, url: str) -> PoolManager:
        """Return the connection pool for a URL, through its proxy if it has one."""
        from urllib3 import PoolManager, ProxyManager, Retry, Timeout

        name = proxy(url)
        if name not in self._pools:
            new = partial(ProxyManager, name, proxy_headers=_login(name)) if name else PoolManager
            timeout, retries = Timeout(None, *self.timeout), self.retries or Retry(0, read=False)
            ca = self.ca or None
            self._pools[name] = new(maxsize=8, timeout=timeout, retries=retries, ca_certs=ca)
        return self._pools[name]


def _login(url: str) -> dict[str, str]:
    """Return the header with the login that a proxy's URL contains."""
    parts = urlsplit(url)
    if parts.username is None:
        return {}
    return {"Proxy-Authorization": basic(unquote(parts.username), unquote(parts.password or ""))}
