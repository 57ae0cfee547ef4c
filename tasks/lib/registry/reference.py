"""An image's name: registry, path, and a tag or a digest."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ..errors import ExitCode, TaskError

HUB = "docker.io"
BRANCH_LABEL = "org.opencontainers.image.ref.name"
REVISION_LABEL = "org.opencontainers.image.revision"
COMMIT = re.compile(r"[0-9a-f]{40}(-dirty)?")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
# The host is told from the path by a dot, a port, or being localhost.
NAME = re.compile(
    r"((?P<host>localhost|[\w-]+(\.[\w-]+)+|[\w-]+(?=:\d+/))(?P<port>:\d+)?/)?"
    r"(?P<path>[a-z0-9]+([._/-]+[a-z0-9]+)*)"
    rf"(:(?P<tag>{TAG.pattern}))?(@(?P<digest>{DIGEST.pattern}))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Reference:
    """A name such as registry.example.com:5000/group/app:main or .../app@sha256:..."""

    host: str
    path: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a name as Docker does. Raises TaskError for what is none."""
        found = NAME.fullmatch(text)
        if not found:
            raise TaskError(
                f"no image's name: {text!r}", "HOST/PATH:TAG or HOST/PATH@DIGEST", ExitCode.REFUSED
            )
        host, path = found["host"], found["path"]
        if not host:
            host, path = HUB, path if "/" in path else f"library/{path}"
        return cls(host + (found["port"] or ""), path, found["tag"] or "", found["digest"] or "")

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


def is_built_on(layers: list[str], below: list[str]) -> bool:
    """Whether an image's layers are those of the one below, with others on top."""
    return len(layers) > len(below) and layers[: len(below)] == below
