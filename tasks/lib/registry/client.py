"""The registry, through its HTTP API: the one door to it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin, urlsplit

from ..errors import TaskError
from . import credentials
from .reference import Reference
from .session import Session

if TYPE_CHECKING:
    from invoke import Context
    from urllib3 import BaseHTTPResponse

    from ..project.settings import Settings

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
# Where a list that is sent in parts goes on.
NEXT = re.compile(r'<([^>]*)>\s*;\s*rel="?next\b')


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


def connect(ctx: Context, settings: Settings) -> Registry:
    """The registry of the settings' image, with the login that is found for it."""
    image = Reference.parse(settings.registry.image)
    login = credentials.find(image.host)
    run = ctx.config.run
    insecure, ca = settings.registry.insecure, settings.registry.ca
    return Registry(image, Session(image.host, login, insecure, ca, run.echo, run.dry))


class Registry:
    """One image's place in a registry: its manifests, tags and blobs.

    Args:
        wire: how the registry is asked.
    """

    def __init__(self, image: Reference, wire: Session) -> None:
        self.image, self.wire = image, wire

    @property
    def login(self) -> credentials.Login | None:
        """The login that the registry is asked with."""
        return self.wire.login

    @property
    def dry(self) -> bool:
        """Whether changes are only printed."""
        return self.wire.dry

    # What the registry has.

    def check(self) -> None:
        """Knock: Raises TaskError when the registry does not answer, or refuses the login."""
        self.wire.ask("GET", "/v2/")

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
        found = Manifest(answer.data, answer.headers["Content-Type"].partition(";")[0])
        if ":" in name and found.digest != name:
            raise TaskError(f"{self.image.host} sent other bytes than {name}'s", "try again")
        return found

    def manifest(self, name: str) -> Manifest:
        """The manifest of a tag or digest. Raises TaskError when there is none."""
        found = self.find(name)
        if found is None:
            raise TaskError(f"{self.image.host} has no {self.image.path} of {name}", "inv images")
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
            more = NEXT.search(answer.headers.get("Link", ""))
            query = urlsplit(more[1]).query if more else ""
            url = query and f"tags/list?{query}"
        return found

    def blob(self, name: str) -> bytes:
        """The bytes of a digest. Raises TaskError when they are not there or are others."""
        answer = self._image("GET", f"blobs/{name}")
        assert answer is not None  # noqa: S101
        if digest(answer.data) != name:
            raise TaskError(f"{self.image.host} sent other bytes than {name}'s", "try again")
        return answer.data

    def one(self, manifest: Manifest) -> Manifest:
        """The manifest itself, or of an index the first platform's."""
        return self.manifest(manifest.children[0]) if manifest.children else manifest

    def platforms(self, manifest: Manifest) -> list[dict[str, Any]]:
        """The configurations of an image, one for each of its platforms."""
        return [self.config(self.manifest(each)) for each in manifest.children or [manifest.digest]]

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
        if begun is not None and begun.status == 202:
            place = urljoin(begun.url or "", begun.headers["Location"])
            place += ("&" if "?" in place else "?") + urlencode({"digest": name})
            self.wire.ask("PUT", place.removeprefix(self.wire.root), body)
        return name

    def _image(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        missing: bool = False,
    ) -> BaseHTTPResponse | None:
        accept = {"Accept": ", ".join(MANIFESTS + INDEXES), **(headers or {})}
        return self.wire.ask(method, f"/v2/{self.image.path}/{path}", body, accept, missing)
