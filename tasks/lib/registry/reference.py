"""Image references: registry host, path, and a tag or a digest."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import ip_address
from urllib.parse import urlsplit

from ..errors import ExitCode, TaskError

HUB = "docker.io"
BRANCH_LABEL = "org.opencontainers.image.ref.name"
CREATED_LABEL = "org.opencontainers.image.created"
REVISION_LABEL = "org.opencontainers.image.revision"
VERSION_LABEL = "org.opencontainers.image.version"
# When the commit was made (ISO 8601).
CREATED_LABEL = "org.opencontainers.image.created"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
# A host has a dot or a port, or is localhost; anything else begins the path.
NAME = re.compile(
    r"((?P<host>localhost|[\w-]+(\.[\w-]+)+|[\w-]+(?=:\d+/))(?P<port>:\d+)?/)?"
    r"(?P<path>[a-z0-9]+([._/-]+[a-z0-9]+)*)"
    rf"(:(?P<tag>{TAG.pattern}))?(@(?P<digest>{DIGEST.pattern}))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Reference:
    """A reference such as registry.example.com:5000/group/app:main or .../app@sha256:..."""

    host: str
    path: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse a reference as Docker does. Raises TaskError if it is invalid."""
        if not (found := NAME.fullmatch(text)):
            what, hint = (
                f"invalid image reference: {text!r}",
                "use HOST/PATH:TAG or HOST/PATH@DIGEST",
            )
            raise TaskError(what, hint, ExitCode.REFUSED)
        host, path = found["host"], found["path"]
        if not host:
            host, path = HUB, path if "/" in path else f"library/{path}"
        return cls(host + (found["port"] or ""), path, found["tag"] or "", found["digest"] or "")

    @property
    def name(self) -> str:
        """The host and path."""
        return f"{self.host}/{self.path}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}" + (f"@{self.digest}" if self.digest else "")

    def tagged(self, tag: str) -> Reference:
        """Return this name with a tag."""
        return replace(self, tag=tag, digest="")

    def at(self, digest: str) -> Reference:
        """Return this name with a digest."""
        return replace(self, tag="", digest=digest)


def short(digest: str) -> str:
    """Return the abbreviated digest."""
    return digest.removeprefix("sha256:")[:12]


def is_built_on(layers: list[str], below: list[str]) -> bool:
    """Whether an image's layers begin with all those of the image below, and add more."""
    return len(layers) > len(below) and layers[: len(below)] == below


def is_plain_http(host: str, insecure: bool, ca: str) -> bool:
    """Whether to use plain HTTP: as configured, or on this machine."""
    if insecure or ca:
        return not ca
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
