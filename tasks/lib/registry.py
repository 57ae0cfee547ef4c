"""The registry, through its HTTP API: the one door to it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin, urlsplit

from . import console, credentials
from .errors import Failed
from .image import HUB, Reference

if TYPE_CHECKING:
    from invoke import Context
    from requests import Response, Session

    from .settings import Settings

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
# Seconds to connect, and to wait for an answer.
TIMEOUT = (5, 60)
# Tries after the first, with 0, 1, 2, 4 and 8 seconds before them.
RETRIES = 5


@dataclass(frozen=True)
class Manifest:
    """A manifest as the registry keeps it, byte for byte: its digest is theirs."""

    body: bytes
    kind: str

    @cached_property
    def digest(self) -> str:
        """The digest: the identity of the image."""
        return digest(self.body)

    @cached_property
    def content(self) -> dict[str, Any]:
        """What the manifest says."""
        return dict(json.loads(self.body))

    @property
    def children(self) -> list[str]:
        """The digests of the platforms' manifests, when this is an index of several."""
        found = self.content.get("manifests", []) if self.kind in INDEXES else []
        return [each["digest"] for each in found if _runs(each)]


def _runs(child: Mapping[str, Any]) -> bool:
    """Whether an index's entry is an image, and not an attestation about one."""
    return child.get("platform", {}).get("os") != "unknown"


def digest(body: bytes) -> str:
    """The digest of some bytes."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def plain(host: str, insecure: bool, ca: str) -> bool:
    """Whether a registry is spoken to over plain http: as told, or on this very machine."""
    if insecure or ca:
        return not ca
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def connect(ctx: Context, settings: Settings) -> Registry:
    """The registry of the settings' image, with the login that is found for it."""
    image = Reference.parse(settings.registry.image)
    insecure = plain(image.host, settings.registry.insecure, settings.registry.ca)
    login = credentials.find(image.host)
    run = ctx.config.run
    return Registry(image, login, insecure, settings.registry.ca, run.echo, run.dry)


class Registry:
    """One image's place in a registry: its manifests, tags and blobs.

    Args:
        insecure: speak plain http.
        ca: a file with the certificate authority to trust; empty: this machine's.
        echo: print each request that changes something.
        dry: print them, and do not send them.
    """

    def __init__(
        self,
        image: Reference,
        login: credentials.Login | None = None,
        insecure: bool = False,
        ca: str = "",
        echo: bool = False,
        dry: bool = False,
    ) -> None:
        host = "registry-1.docker.io" if image.host == HUB else image.host
        self.image, self.login, self.ca, self.echo, self.dry = image, login, ca, echo, dry
        self.root = f"{'http' if insecure else 'https'}://{host}"
        self._authorization: dict[str, str] = {}

    @cached_property
    def _session(self) -> Session:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        class Again(Retry):
            """Says that it tries again."""

            def sleep(self, response: Any = None) -> None:
                console.say(f"{host} is not there or busy; trying again ({len(self.history)})")
                super().sleep(response)

        host = self.image.host
        again = Again(
            RETRIES, other=0, status_forcelist=(429, 500, 502, 503, 504), backoff_factor=0.5,
            allowed_methods=None, raise_on_status=False,
        )  # fmt: skip
        session = requests.Session()
        session.mount(self.root, HTTPAdapter(max_retries=again, pool_maxsize=8))
        session.mount("https://", HTTPAdapter(max_retries=again))
        return session

    # What the registry has.

    def check(self) -> None:
        """Knock: raises Failed when the registry does not answer, or refuses the login."""
        self._call("GET", "/v2/")

    def digest(self, name: str) -> str:
        """The digest that a tag points at, or a digest that is there; empty when it is not."""
        answer = self._image("HEAD", f"manifests/{name}", missing=True)
        if answer is None:
            return ""
        return answer.headers.get("Docker-Content-Digest") or self.manifest(name).digest

    def find(self, name: str) -> Manifest | None:
        """The manifest of a tag or digest; None when there is none."""
        answer = self._image("GET", f"manifests/{name}", missing=True)
        if answer is None:
            return None
        found = Manifest(answer.content, answer.headers["Content-Type"].partition(";")[0])
        if ":" in name and found.digest != name:
            raise Failed(f"{self.image.host} sent other bytes than {name}'s", "try again")
        return found

    def manifest(self, name: str) -> Manifest:
        """The manifest of a tag or digest. Raises Failed when there is none."""
        found = self.find(name)
        if found is None:
            raise Failed(f"{self.image.host} has no {self.image.path} of {name}", "inv images")
        return found

    def tags(self) -> list[str]:
        """All tags."""
        found: list[str] = []
        url = "tags/list?n=1000"
        while url:
            answer = self._image("GET", url, missing=True)
            if answer is None:
                return []
            found += answer.json().get("tags") or []
            url = urlsplit(answer.links.get("next", {}).get("url", "")).query
            url = url and f"tags/list?{url}"
        return found

    def blob(self, name: str) -> bytes:
        """The bytes of a digest. Raises Failed when they are not there or are others."""
        answer = self._image("GET", f"blobs/{name}")
        assert answer is not None  # noqa: S101
        if digest(answer.content) != name:
            raise Failed(f"{self.image.host} sent other bytes than {name}'s", "try again")
        return answer.content

    def one(self, manifest: Manifest) -> Manifest:
        """The manifest itself, or of an index the first platform's."""
        return self.manifest(manifest.children[0]) if manifest.children else manifest

    def config(self, manifest: Manifest) -> dict[str, Any]:
        """The image's configuration; of several platforms the first one's."""
        return dict(json.loads(self.blob(self.one(manifest).content["config"]["digest"])))

    def labels(self, manifest: Manifest) -> dict[str, str]:
        """The image's labels."""
        return dict(self.config(manifest).get("config", {}).get("Labels") or {})

    # What is changed in it.

    def put(self, tag: str, manifest: Manifest) -> None:
        """Let a tag point at a manifest; its bytes, and so its digest, stay as they are."""
        self._image("PUT", f"manifests/{tag}", manifest.body, {"Content-Type": manifest.kind})

    def delete(self, name: str) -> None:
        """Delete a manifest by its digest, with every tag that points at it."""
        self._image("DELETE", f"manifests/{name}", missing=True)

    def put_blob(self, body: bytes) -> str:
        """Store some bytes; returns their digest."""
        name = digest(body)
        begun = self._image("POST", "blobs/uploads/")
        if begun is not None and begun.status_code == 202:
            place = urljoin(begun.url, begun.headers["Location"])
            place += ("&" if "?" in place else "?") + urlencode({"digest": name})
            self._call("PUT", place.removeprefix(self.root), body)
        return name

    # How it is asked.

    def _image(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        missing: bool = False,
    ) -> Response | None:
        return self._call(method, f"/v2/{self.image.path}/{path}", body, headers, missing)

    def _call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        missing: bool = False,
    ) -> Response | None:
        """Ask, and log in when told to. With missing, None for what is not there.

        Raises Failed, with what to do, for any other answer than a good one.
        """
        changes = method not in {"GET", "HEAD"}
        if changes and (self.echo or self.dry):
            console.say(console.colour(f"{method} {self.root}{path}", 1))
        if changes and self.dry:
            return None
        accept = {"Accept": ", ".join(MANIFESTS + INDEXES), **(headers or {})}
        answer = self._send(method, f"{self.root}{path}", data=body, headers=accept)
        if answer.status_code == 401:
            self._authorize(answer)
            answer = self._send(method, f"{self.root}{path}", data=body, headers=accept)
        if answer.status_code == 404 and missing:
            return None
        if answer.ok:
            return answer
        raise self._refused(answer)

    def _send(self, method: str, url: str, **options: Any) -> Response:
        from requests.exceptions import RequestException, SSLError

        if url.startswith(f"{self.root}/"):
            options["headers"] = {**options["headers"], **self._authorization}
        options.setdefault("auth", lambda request: request)  # lest requests look into ~/.netrc
        options.setdefault("verify", self.ca or None)
        try:
            return self._whole(method, url, **options)
        except SSLError:
            hint = "name its authority's file: registry.ca in invoke.yaml"
            raise Failed(f"the certificate of {self.image.host} is not trusted", hint) from None
        except RequestException as error:
            cause = getattr(error.args[0] if error.args else error, "reason", error)
            why = " ".join(str(cause).rpartition(": ")[2].split())
            what = f"the registry {self.image.host} does not answer ({why})"
            raise Failed(what, "see that it is up and reachable, then run this again") from None

    def _whole(self, method: str, url: str, **options: Any) -> Response:
        """Ask, and again when the connection drops amid the answer; others the session retries."""
        from requests.exceptions import ChunkedEncodingError

        for _ in range(RETRIES):
            try:
                return self._session.request(method, url, timeout=TIMEOUT, **options)
            except ChunkedEncodingError:
                console.say(f"{self.image.host} was cut off; trying again")
        return self._session.request(method, url, timeout=TIMEOUT, **options)

    def _authorize(self, answer: Response) -> None:
        """Get ready to answer what a 401 asks for: a name and password, or a token."""
        from requests.utils import parse_dict_header

        scheme, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
        login = self.login
        if scheme.lower() == "bearer":
            asked = parse_dict_header(rest)
            self._authorization = {"Authorization": f"Bearer {self._token(asked)}"}
        elif login and not login.token:
            pair = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
            self._authorization = {"Authorization": f"Basic {pair}"}
        else:
            raise self._refused(answer)

    def _token(self, asked: Mapping[str, str]) -> str:
        """A token of the service that the registry names."""
        realm = asked["realm"]
        if realm.startswith("http:") and self.root.startswith("https:"):
            raise Failed(f"{self.image.host} wants the password sent in clear to {realm}")
        about = {key: asked[key] for key in ("service", "scope") if key in asked}
        login = self.login
        if login and login.token:
            form = {"grant_type": "refresh_token", "refresh_token": login.password, **about}
            answer = self._send("POST", realm, data={**form, "client_id": "inv"}, headers={})
        else:
            who = {"auth": (login.user, login.password)} if login else {}
            answer = self._send("GET", realm, params=about, headers={}, **who)
        if not answer.ok:
            raise self._refused(answer)
        said = answer.json()
        return str(said.get("token") or said["access_token"])

    def _refused(self, answer: Response) -> Failed:
        """What an answer that is not a good one means, and what to do about it."""
        host, login = self.image.host, self.login
        if answer.status_code == 401 and login is None:
            hint = f"docker login {host}, or set CI_REGISTRY={host}, CI_REGISTRY_USER and _PASSWORD"
            return Failed(f"{host} wants a login", hint)
        if answer.status_code in {401, 403} and login:
            what = f"{host} refuses the login of {login.user or 'a token'} (from {login.origin})"
            return Failed(what, f"correct it, or docker login {host}; it needs pull and push")
        request = f"{answer.request.method} {urlsplit(answer.url).path}"
        try:
            why = f": {answer.json()['errors'][0]['message']}"
        except (ValueError, LookupError, TypeError):
            why = ""
        hints = {404: "check registry.image in invoke.yaml", 405: "allow deleting in the registry"}
        hint = hints.get(answer.status_code, "try again, or look at the registry's log")
        return Failed(f"{host} answers {answer.status_code} to {request}{why}", hint)
