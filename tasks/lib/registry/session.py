"""HTTP to one registry: TLS, login, retries, and what a response means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from .. import console, http_client
from ..errors import ExitCode, TaskError
from .credentials import Login
from .reference import HUB, is_plain_http

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

# Manifests of several platforms, and of one.
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
# Seconds to connect, and to wait for a response.
TIMEOUT = (5, 60)
# When to retry a request, as arguments of urllib3's Retry: 5 times, after 0, 1, 2, 4 and 8 seconds,
# for any method, after connection errors (not others, such as an untrusted certificate) and these
# statuses; a 500 twice only. Every rule belongs here.
RETRY: Mapping[str, Any] = {
    "total": 5,
    "backoff_factor": 0.5,
    "allowed_methods": None,
    "status_forcelist": (429, 500, 502, 503, 504),
    "other": 0,
    "raise_on_status": False,
}
HINTS = {404: "check registry.image in invoke.yaml", 405: "enable deletion in the registry"}
# A parameter of WWW-Authenticate: KEY="VALUE" or KEY=VALUE.
PARAMETER = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


class Denied(TaskError):
    """The registry denies that to this login."""


class Unreadable(TaskError):
    """A tag or digest that is no image, or that the registry cannot read."""


class Session:
    """Sends requests to one registry.

    Args:
        insecure: use plain HTTP even to another machine.
        ca: the file of a certificate authority to trust; empty: this machine's.
        echo: print each request that changes something.
        dry: print them, and do not send them.
        retry: when to ask again; see RETRY.
    """

    def __init__(
        self,
        host: str,
        login: Login | None = None,
        insecure: bool = False,
        ca: str = "",
        echo: bool = False,
        dry: bool = False,
        retry: Mapping[str, Any] = RETRY,
    ) -> None:
        self.host, self.login, self.ca, self.echo, self.dry = host, login, ca, echo, dry
        scheme = "http" if is_plain_http(host, insecure, ca) else "https"
        self.root = f"{scheme}://{'registry-1.docker.io' if host == HUB else host}"
        self._authorization: dict[str, str] = {}
        self._retry = retry

    @cached_property
    def _client(self) -> http_client.HttpClient:
        if self.ca and not Path(self.ca).is_file():
            hint = "correct registry.ca in invoke.yaml"
            raise TaskError(f"no such file: {self.ca}", hint, ExitCode.REFUSED)
        from urllib3.util import Retry

        host = self.host

        class ShownRetry(Retry):
            def is_retry(self, method: str, status_code: int, *more: bool) -> bool:
                # A 500 mostly means that the registry cannot read what it stored.
                damaged = status_code == 500 and len(self.history) >= 2
                return not damaged and super().is_retry(method, status_code, *more)

            def sleep(self, response: Any = None) -> None:
                count = f"{len(self.history)} of {RETRY['total']}"
                console.say(f"{host} is unavailable or busy: retry {count}")
                super().sleep(response)

        return http_client.HttpClient(TIMEOUT, ShownRetry(**self._retry), self.ca)

    def request(
        self, method: str, path: str, body: bytes = b"", kind: str = "", missing: bool = False
    ) -> BaseHTTPResponse | None:
        """Send a request, and log in if required. With missing, returns None for status 404.

        Raises TaskError, with what to do, for any other status of failure.
        """
        url, headers = f"{self.root}{path}", {"Accept": ", ".join(MANIFESTS + INDEXES)}
        headers |= {"Content-Type": kind} if kind else {}
        if method not in {"GET", "HEAD"} and (self.echo or self.dry):
            console.say(console.colour(f"{method} {url}", 1))
            if self.dry:
                return None
        response = self._send(method, url, body, headers)
        if response.status == 401:
            self._authorize(response, f"{method} {path}")
            response = self._send(method, url, body, headers)
        if response.status == 404 and missing:
            return None
        if response.status < 400:
            return response
        raise self._failure(response, f"{method} {path}")

    def _send(
        self, method: str, url: str, body: bytes, headers: dict[str, str]
    ) -> BaseHTTPResponse:
        from urllib3.exceptions import HTTPError, SSLError

        if url.startswith(f"{self.root}/"):
            headers = {**self._authorization, **headers}
        try:
            return self._client.send(method, url, body, headers)
        except HTTPError as error:
            if isinstance(getattr(error, "reason", error), SSLError):
                what = f"the certificate of {self.host} is not trusted"
                hint = "set registry.ca in invoke.yaml to the file of its authority"
                raise TaskError(what, hint) from None
            what = f"the registry {self.host} does not answer ({http_client.cause(error)})"
            raise TaskError(what, "check that it is up and reachable, then retry") from None

    def _authorize(self, response: BaseHTTPResponse, request: str) -> None:
        """Set the header that a 401 asks for: user and password, or a token."""
        scheme, _, rest = response.headers.get("WWW-Authenticate", "").partition(" ")
        login = self.login
        if scheme.lower() == "bearer":
            challenge = {key: quoted or bare for key, quoted, bare in PARAMETER.findall(rest)}
            self._authorization = {"Authorization": f"Bearer {self._token(challenge)}"}
        elif login and not login.token:
            self._authorization = {"Authorization": http_client.basic(login.user, login.password)}
        else:
            raise self._failure(response, request)

    def _token(self, challenge: Mapping[str, str]) -> str:
        """Return a token of the service that the registry names."""
        realm = challenge["realm"]
        if realm.startswith("http:") and self.root.startswith("https:"):
            raise TaskError(f"refusing to send credentials over plain HTTP to {realm}")
        query = {key: challenge[key] for key in ("service", "scope") if key in challenge}
        login, headers = self.login, {}
        if login and login.token:
            query |= {"grant_type": "refresh_token", "refresh_token": login.password}
            body = urlencode({**query, "client_id": "inv"}).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            response = self._send("POST", realm, body, headers)
        else:
            if login:
                headers["Authorization"] = http_client.basic(login.user, login.password)
            url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
            response = self._send("GET", url, b"", headers)
        if response.status >= 400:
            raise self._failure(response, "the request for a token")
        content = response.json()
        return str(content.get("token") or content["access_token"])

    def _failure(self, response: BaseHTTPResponse, request: str) -> TaskError:
        """Return the error for a response: what failed, why, and what to do."""
        host, login, status = self.host, self.login, response.status
        if status == 401 and login is None:
            hint = f"docker login {host}, or set CI_REGISTRY={host}, CI_REGISTRY_USER and _PASSWORD"
            return TaskError(f"{host} requires a login", hint)
        if status in {401, 403} and login:
            hint = f"correct it, or docker login {host}; it needs pull and push access"
            return Denied(f"{host} denied the login {login}", hint)
        try:
            why = f": {response.json()['errors'][0]['message']}"
        except (ValueError, LookupError, TypeError):
            why = ""
        what = f"{host} returned {status} to {request.partition('?')[0]}{why}"
        kind = Unreadable if status in {404, 500} else TaskError
        return kind(what, HINTS.get(status, "retry, or check the registry's log"))
