"""The registry, through its HTTP API: the one door to it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin, urlsplit

from invoke import Context

from ..errors import ExitCode
from ..project.settings import Settings
from . import credentials
from .reference import Reference
from .session import INDEXES, MANIFESTS, Session, Unreadable

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

# The address of a paginated list's next page.
NEXT = re.compile(r'<([^>]*)>\s*;\s*rel="?next\b')
# By these an image is told from what else is kept as a manifest: caches, signatures, other files.
CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
LAYERS = ("application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs.")


@dataclass(frozen=True)
class Manifest:
    """A manifest, byte for byte as the registry stores it."""

    body: bytes
    kind: str

    @cached_property
    def digest(self) -> str:
        """The digest of its bytes: the image's identity."""
        return digest(self.body)

    @cached_property
    def content(self) -> dict[str, Any]:
        """The parsed JSON."""
        return dict(json.loads(self.body))

    @property
    def children(self) -> list[str]:
        """The digests of the platforms' manifests, if this is an index; without attestations."""
        entries = self.content.get("manifests", []) if self.kind in INDEXES else []
        images = [entry for entry in entries if entry.get("mediaType") in MANIFESTS]
        known = [each for each in images if each.get("platform", {}).get("os") != "unknown"]
        return [entry["digest"] for entry in known]

    @property
    def is_image(self) -> bool:
        """Whether this is an image of one platform."""
        config, layers = self.content.get("config") or {}, self.content.get("layers") or []
        kinds = [layer.get("mediaType", "") for layer in layers]
        return config.get("mediaType") in CONFIGS and all(kind.startswith(LAYERS) for kind in kinds)


def digest(body: bytes) -> str:
    """Return the digest of some bytes."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def labels(config: dict[str, Any]) -> dict[str, str]:
    """Return the labels of an image's configuration."""
    return dict((config.get("config") or {}).get("Labels") or {})


def connect(ctx: Context, settings: Settings) -> Registry:
    """Return the registry of the settings' image, with the login found for it."""
    rules, run = settings.registry, ctx.config.run
    image = Reference.parse(rules.image)
    login = credentials.find(image.host)
    return Registry(image, Session(image.host, login, rules.insecure, rules.ca, run.echo, run.dry))


class Registry:
    """One image's repository in a registry: its manifests, tags and blobs."""

    def __init__(self, image: Reference, session: Session) -> None:
        self.image, self.session = image, session
        self.login, self.dry = session.login, session.dry

    def check(self) -> None:
        """Raise TaskError if the registry does not answer, or denies the login."""
        self.session.request("GET", "/v2/")

    def digest(self, name: str) -> str:
        """Return the digest of a tag, or an existing digest itself; empty if missing."""
        answer = self._image("HEAD", f"manifests/{name}", missing=True)
        if answer is None:
            return ""
        return answer.headers.get("Docker-Content-Digest") or self.manifest(name).digest

    def find(self, name: str) -> Manifest | None:
        """Return the manifest of a tag or digest; None if missing."""
        answer = self._image("GET", f"manifests/{name}", missing=True)
        if answer is None:
            return None
        kind = answer.headers["Content-Type"].partition(";")[0]
        return Manifest(self._verified(name, answer.data), kind)

    def manifest(self, name: str) -> Manifest:
        """Return the manifest of a tag or digest. Raises TaskError if missing."""
        if found := self.find(name):
            return found
        what = f"{name} not found in {self.image.name}"
        raise Unreadable(what, "inv images lists what exists")

    def tags(self) -> list[str]:
        """Return all tags."""
        found: list[str] = []
        query = "n=1000"
        while query:
            answer = self._image("GET", f"tags/list?{query}", missing=True)
            if answer is None:
                return []
            found += answer.json().get("tags") or []
            more = NEXT.search(answer.headers.get("Link", ""))
            query = urlsplit(more[1]).query if more else ""
        return found

    def blob(self, name: str) -> bytes:
        """Return the bytes of a digest. Raises TaskError if they are missing, or differ from it."""
        answer = self._image("GET", f"blobs/{name}")
        assert answer is not None  # noqa: S101
        return self._verified(name, answer.data)

    def _verified(self, name: str, body: bytes) -> bytes:
        if ":" in name and digest(body) != name:
            what = f"digest mismatch: {self.image.host} returned content that is not {name}"
            raise Unreadable(what, "retry")
        return body

    def platforms(self, manifest: Manifest) -> list[dict[str, Any]]:
        """Return an image's configurations, one for each platform."""
        names = manifest.children or [manifest.digest]
        return [self.config(self.manifest(name)) for name in names]

    def config(self, manifest: Manifest) -> dict[str, Any]:
        """Return an image's configuration; of several platforms the first one's.

        Raises Unreadable if it is no image.
        """
        image = self.manifest(manifest.children[0]) if manifest.children else manifest
        if not image.is_image:
            what = f"{self.image.at(manifest.digest)} is no image"
            raise Unreadable(what, "inv images lists what exists", ExitCode.REFUSED)
        return dict(json.loads(self.blob(image.content["config"]["digest"])))

    def labels(self, manifest: Manifest) -> dict[str, str]:
        """Return an image's labels."""
        return labels(self.config(manifest))

    def put(self, tag: str, manifest: Manifest) -> None:
        """Point a tag at a manifest; its bytes, and so its digest, stay the same."""
        self._image("PUT", f"manifests/{tag}", manifest.body, manifest.kind)

    def delete(self, name: str) -> None:
        """Delete a manifest by its digest, and every tag that points at it."""
        self._image("DELETE", f"manifests/{name}", missing=True)

    def put_blob(self, body: bytes) -> str:
        """Upload some bytes. Returns their digest."""
        name = digest(body)
        upload = self._image("POST", "blobs/uploads/")
        if upload is not None and upload.status == 202:
            url = urljoin(upload.url or "", upload.headers["Location"])
            url += ("&" if "?" in url else "?") + urlencode({"digest": name})
            self.session.request("PUT", url.removeprefix(self.session.root), body)
        return name

    def _image(
        self, method: str, path: str, body: bytes = b"", kind: str = "", missing: bool = False
    ) -> BaseHTTPResponse | None:
        return self.session.request(method, f"/v2/{self.image.path}/{path}", body, kind, missing)
