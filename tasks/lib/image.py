"""An image's name: registry, path, and a tag or a digest."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .errors import REFUSED, Failed

HUB = "docker.io"
COMMIT = re.compile(r"[0-9a-f]{40}(-dirty)?")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Reference:
    """A name such as registry.example.com:5000/group/app:main or .../app@sha256:..."""

    host: str
    path: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a name as Docker does. Raises Failed for what is none."""
        name, _, digest = text.partition("@")
        head, slash, last = name.rpartition("/")
        last, _, tag = last.partition(":")
        host, _, path = f"{head}{slash}{last}".partition("/")
        if not path or not (set(".:") & set(host) or host == "localhost"):
            host, path = HUB, f"{head}{slash}{last}" if head else f"library/{last}"
        right = re.fullmatch(r"[a-z0-9._/-]+", path) and (not tag or TAG.fullmatch(tag))
        if not right or (("@" in text) and not DIGEST.fullmatch(digest)):
            raise Failed(f"no image's name: {text!r}", "HOST/PATH:TAG or HOST/PATH@DIGEST", REFUSED)
        return cls(host, path, tag, digest)

    @property
    def name(self) -> str:
        """Registry and path."""
        return f"{self.host}/{self.path}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}" + (f"@{self.digest}" if self.digest else "")

    def tagged(self, tag: str) -> Reference:
        """The image of a tag under this name."""
        return replace(self, tag=tag, digest="")

    def at(self, digest: str) -> Reference:
        """The image of a digest under this name."""
        return replace(self, tag="", digest=digest)


def as_tag(text: str) -> str:
    """The nearest thing to a text, such as a git tag, that can be an image's tag."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text)[:128].lstrip(".-")


def short(digest: str) -> str:
    """A digest as people read it."""
    return digest.removeprefix("sha256:")[:12]
