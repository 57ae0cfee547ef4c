"""The way to a registry over HTTP: its login, tries again, and what an answer means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from .. import console, http_client
from ..errors import ExitCode, TaskError
from .reference import HUB

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

    from .credentials import Login

# Seconds to connect, and to wait for an answer.
TIMEOUT = (5, 60)
# Tries after the first, with 0, 1, 2, 4 and 8 seconds before them.
RETRIES = 5
# A part of what a 401 asks for: KEY="VALUE" or KEY=VALUE.
PART = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


def plain(host: str, insecure: bool, ca: str) -> bool:
    """Whether a registry is spoken to over plain http: as told, or on this very machine."""
    if insecure or ca:
        return not ca
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


class Session:
    """Asks one registry.

    Args:
        host: the registry, with its port if it has one.
        insecure: speak plain http even to another machine.
        ca: a file with the certificate authority to trust; empty: this machine's.
        echo: print each request that changes something.
        dry: print them, and do not send them.
    """

    def __init__(
        self,
        host: str,
        login: Login | None = None,
        insecure: bool = False,
        ca: str = "",
        echo: bool = False,
        dry: bool = False,
    ) -> None:
        self.host, self.login, self.ca, self.echo, self.dry = host, login, ca, echo, dry
        scheme = "http" if plain(host, insecure, ca) else "https"
        self.root = f"{scheme}://{'registry-1.docker.io' if host == HUB else host}"
        self._authorization: dict[str, str] = {}

    @cached_property
    def _web(self) -> http_client.HttpClient:
        if self.ca and not Path(self.ca).is_file():
            raise TaskError(
                f"no such file: {self.ca}", "correct registry.ca in invoke.yaml", ExitCode.REFUSED
            )
        from urllib3.util import Retry

        class Again(Retry):
            """Says that it tries again."""

            def sleep(self, response: Any = None) -> None:
                console.say(f"{host} is not there or busy; trying again ({len(self.history)})")
                super().sleep(response)

        host = self.host
        again = Again(
            RETRIES, other=0, status_forcelist=(429, 500, 502, 503, 504), backoff_factor=0.5,
            allowed_methods=None, raise_on_status=False,
        )  # fmt: skip
        return http_client.HttpClient(TIMEOUT, again, self.ca)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        missing: bool = False,
    ) -> BaseHTTPResponse | None:
        """Ask, and log in when told to. With missing, None for what is not there.

        Raises TaskError, with what to do, for any other answer than a good one.
        """
        changes = method not in {"GET", "HEAD"}
        if changes and (self.echo or self.dry):
            console.say(console.colour(f"{method} {self.root}{path}", 1))
        if changes and self.dry:
            return None
        answer = self._send(method, f"{self.root}{path}", body, headers)
        if answer.status == 401:
            self._authorize(answer, f"{method} {path}")
            answer = self._send(method, f"{self.root}{path}", body, headers)
        if answer.status == 404 and missing:
            return None
        if answer.status < 400:
            return answer
        raise self._refused(answer, f"{method} {path}")

    def _send(
        self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> BaseHTTPResponse:
        from urllib3.exceptions import HTTPError, SSLError

        if url.startswith(f"{self.root}/"):
            headers = {**self._authorization, **(headers or {})}
        try:
            return self._web.send(method, url, body, headers)
        except HTTPError as error:
            if isinstance(getattr(error, "reason", error), SSLError):
                what = f"the certificate of {self.host} is not trusted"
                hint = "name its authority's file: registry.ca in invoke.yaml"
                raise TaskError(what, hint) from None
            what = f"the registry {self.host} does not answer ({http_client.cause(error)})"
            raise TaskError(what, "see that it is up and reachable, then run this again") from None

    def _authorize(self, answer: BaseHTTPResponse, request: str) -> None:
        """Get ready to answer what a 401 asks for: a name and password, or a token."""
        scheme, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
        login = self.login
        if scheme.lower() == "bearer":
            asked = {key: quoted or bare for key, quoted, bare in PART.findall(rest)}
            self._authorization = {"Authorization": f"Bearer {self._token(asked)}"}
        elif login and not login.token:
            self._authorization = {"Authorization": http_client.basic(login.user, login.password)}
        else:
            raise self._refused(answer, request)

    def _token(self, asked: Mapping[str, str]) -> str:
        """A token of the service that the registry names."""
        realm = asked["realm"]
        if realm.startswith("http:") and self.root.startswith("https:"):
            raise TaskError(f"{self.host} wants the password sent in clear to {realm}")
        about = {key: asked[key] for key in ("service", "scope") if key in asked}
        login = self.login
        if login and login.token:
            method, url = "POST", realm
            form = {"grant_type": "refresh_token", "refresh_token": login.password, **about}
            body = urlencode({**form, "client_id": "inv"}).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
        else:
            method, body = "GET", b""
            url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(about)}"
            headers = (
                {"Authorization": http_client.basic(login.user, login.password)} if login else {}
            )
        answer = self._send(method, url, body, headers)
        if answer.status >= 400:
            raise self._refused(answer, f"{method} {urlsplit(realm).path}")
        said = answer.json()
        return str(said.get("token") or said["access_token"])

    def _refused(self, answer: BaseHTTPResponse, request: str) -> TaskError:
        """What an answer that is not a good one means, and what to do about it."""
        host, login = self.host, self.login
        if answer.status == 401 and login is None:
            hint = f"docker login {host}, or set CI_REGISTRY={host}, CI_REGISTRY_USER and _PASSWORD"
            return TaskError(f"{host} wants a login", hint)
        if answer.status in {401, 403} and login:
            what = f"{host} refuses the login of {login.user or 'a token'} (from {login.origin})"
            return TaskError(what, f"correct it, or docker login {host}; it needs pull and push")
        try:
            why = f": {answer.json()['errors'][0]['message']}"
        except (ValueError, LookupError, TypeError):
            why = ""
        hints = {404: "check registry.image in invoke.yaml", 405: "allow deleting in the registry"}
        hint = hints.get(answer.status, "try again, or look at the registry's log")
        return TaskError(
            f"{host} answers {answer.status} to {request.partition('?')[0]}{why}", hint
        )
