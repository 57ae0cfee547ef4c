"""What a tag in the registry means. Builds, promotion and listing take every tag from here.

NAME and NAME-previous belong to an environment: its image, and the one before. deployed-NAME-NUMBER
is the image of a deploy that the environment's history remembers. tested-REVISION marks an image
that passed the tests, forced-REVISION records why an untested one was released, cache-STAGE is a
kept stage of the Dockerfile, data-CONTENT is one of images/data.py. Commit, branch slug and git tag
name the image built.
"""

import re
from collections.abc import Collection, Mapping
from typing import Protocol

from ..project.git import Source, slug
from ..registry.reference import BRANCH_LABEL, VERSION_LABEL, short

PREVIOUS = "-previous"
# What reserved tags begin with: no branch and no git tag may take them.
TESTED, FORCED, CACHE, DEPLOYED, DATA = RESERVED = (
    "tested-", "forced-", "cache-", "deployed-", "data-",
)  # fmt: skip
DEPLOY = re.compile(rf"^{DEPLOYED}(?P<environment>.+)-(?P<number>[0-9]+)$")


class Image(Protocol):
    """An image: its digest, and the revision in its labels; empty when they name none."""

    @property
    def digest(self) -> str: ...
    @property
    def revision(self) -> str: ...


def as_tag(text: str) -> str:
    """Return the valid image tag nearest to a text, such as a git tag."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text)[:128].lstrip(".-")


def tested(image: Image) -> str:
    """Return the tag that marks an image as tested."""
    return _mark(TESTED, image)


def forced(image: Image) -> str:
    """Return the tag of the note that an untested image was forced."""
    return _mark(FORCED, image)


def _mark(prefix: str, image: Image) -> str:
    # Images built elsewhere may lack a revision, or have one that is no valid tag.
    return as_tag(prefix + (image.revision or short(image.digest)))


def cache(stage: str) -> str:
    """Return the tag of a stage that is kept as a cache."""
    return CACHE + stage


def data(content: str) -> str:
    """Return the tag of an image for the data, by a hash of what it is built from."""
    return DATA + content


def previous(environment: str) -> str:
    """Return the tag of the image that an environment had before."""
    return environment + PREVIOUS


def deployed(environment: str, number: int) -> str:
    """Return the tag of a deploy that an environment remembers, by the name of its folder."""
    return f"{DEPLOYED}{environment}-{number}"


def deployed_to(tag: str) -> str:
    """Return the environment of a deploy's tag; empty for any other tag."""
    found = DEPLOY.fullmatch(tag)
    return found["environment"] if found else ""


def shown(tag: str) -> str:
    """Return a tag as people read it: prod#17 for a deploy's."""
    return DEPLOY.sub(r"\g<environment>#\g<number>", tag)


def is_environment(tag: str, environments: Collection[str]) -> bool:
    """Whether a tag is an image that an environment has, had before, or may go back to."""
    return tag.removesuffix(PREVIOUS) in environments or bool(deployed_to(tag))


def owner(labels: Mapping[str, str], tag: str) -> str:
    """Return the branch or git tag that an image with these labels got a tag for; empty if unknown.

    Several may have the same tag: fix/login and fix-login, or two long names that begin alike.
    """
    branch, version = labels.get(BRANCH_LABEL, ""), labels.get(VERSION_LABEL, "")
    if branch and slug(branch) == tag:
        return branch
    return version if version and as_tag(version) == tag else ""


def is_commit(tag: str) -> bool:
    """Whether a tag is a commit's, or that of a commit with uncommitted changes."""
    return bool(re.fullmatch(r"[0-9a-f]{40}(-dirty)?", tag))


def is_image(tag: str) -> bool:
    """Whether a tag points at an image of the app, not at a note, a kept stage or the tools."""
    return not tag.startswith((FORCED, CACHE, DATA))


def is_reserved(tag: str, environments: Collection[str]) -> bool:
    """Whether a tag has a meaning of its own: an environment's, a mark, a commit's."""
    return tag.startswith(RESERVED) or is_commit(tag) or is_environment(tag, environments)


def for_source(source: Source, environments: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the tags of a source's image, its revision first, and the names it may not take.

    Uncommitted changes take neither the branch nor the git tag. A reserved name is left out: one
    of an environment would release the image.
    """
    names = () if source.dirty else (source.slug, as_tag(source.tag))
    reserved = [name for name in names if is_reserved(name, environments)]
    return [source.revision, *(name for name in names if name and name not in reserved)], reserved
