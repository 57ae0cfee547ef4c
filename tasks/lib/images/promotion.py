"""A release: a tested image made current for an environment, by moving a tag in the registry."""

from __future__ import annotations

import getpass
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .. import console
from ..errors import ExitCode, TaskError
from ..project import git
from ..registry.client import Manifest
from ..registry.reference import COMMIT, DIGEST, REVISION_LABEL, TAG, short

if TYPE_CHECKING:
    from ..registry.client import Registry

EMPTY = "application/vnd.oci.empty.v1+json"
KIND = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Candidate:
    """An image of the registry, and the revision that it was built from."""

    manifest: Manifest
    revision: str

    def __str__(self) -> str:
        return f"{short(self.manifest.digest)} ({self.revision[:12] or 'of no known commit'})"


def candidate(registry: Registry, manifest: Manifest) -> Candidate:
    """The image of a manifest, with its revision read from its labels."""
    return Candidate(manifest, registry.labels(manifest).get(REVISION_LABEL, ""))


def resolve(registry: Registry, ref: str) -> Candidate:
    """The image of a digest, a tag, a commit (also a short one) or a branch.

    Raises TaskError when the registry has none for it.
    """
    return candidate(registry, find(registry, ref))


def find(registry: Registry, ref: str) -> Manifest:
    """The manifest of what `resolve` takes, without a look at the image itself."""
    for name in _names(registry, ref):
        found = registry.find(name)
        if found:
            return found
    hint = "build and push it: inv build --push; inv images shows what there is"
    raise TaskError(f"no image for {ref!r} in {registry.image.name}", hint, ExitCode.REFUSED)


def _names(registry: Registry, ref: str) -> list[str]:
    """The tags or the digest that a ref may mean, best first."""
    if DIGEST.fullmatch(ref) or COMMIT.fullmatch(ref):
        return [ref]
    known = set(registry.tags())
    short_commit = [tag for tag in known if COMMIT.fullmatch(tag) and tag.startswith(ref)]
    if len(ref) < 7 or len(short_commit) > 1:
        short_commit = []
    names = [ref] if TAG.fullmatch(ref) else []
    names += [git.slug(ref), *short_commit, git.full(ref)]
    return [name for name in dict.fromkeys(names) if name in known]


def mark_tested(registry: Registry, digest: str) -> str:
    """Mark a digest as tested. Returns the tag that says so."""
    image = candidate(registry, registry.manifest(digest))
    tag = _mark("tested", image)
    registry.put(tag, image.manifest)
    return tag


def is_tested(registry: Registry, digest: str) -> bool:
    """Whether this very digest has passed the tests."""
    found = registry.find(digest)
    return found is not None and tested(registry, candidate(registry, found))


def tested(registry: Registry, image: Candidate) -> bool:
    """Whether an image has passed the tests, by its mark."""
    return registry.digest(_mark("tested", image)) == image.manifest.digest


def admitted(registry: Registry, image: Candidate) -> bool:
    """Whether an image may be deployed: it was tested, or somebody gave a reason to force it."""
    if tested(registry, image):
        return True
    note = registry.find(_mark("forced", image))
    return (
        note is not None
        and note.content.get("annotations", {}).get("digest") == image.manifest.digest
    )


def _mark(what: str, image: Candidate) -> str:
    return f"{what}-{image.revision or short(image.manifest.digest)}"


def admit(registry: Registry, image: Candidate, reason: str) -> None:
    """Check that an image was tested; a reason admits an untested one.

    Raises TaskError for an untested image without a reason.
    The reason goes into the registry, with who gave it and when.
    """
    if tested(registry, image):
        return
    digest = image.manifest.digest
    if not reason:
        hint = f'inv test --image={registry.image.at(digest)}, or --force "reason"'
        raise TaskError(f"{image} is not tested", hint, ExitCode.REFUSED)
    console.warn(f"{image} is not tested, and forced: {reason}")
    notes = {
        "reason": reason,
        "digest": digest,
        "by": os.environ.get("GITLAB_USER_LOGIN") or getpass.getuser(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    registry.put(_mark("forced", image), _note(registry, notes))


def _note(registry: Registry, notes: dict[str, str]) -> Manifest:
    """A manifest that is no image and only carries notes."""
    empty = {"mediaType": EMPTY, "digest": registry.put_blob(b"{}"), "size": 2}
    body = {"schemaVersion": 2, "mediaType": KIND, "config": empty, "layers": [empty]}
    return Manifest(json.dumps({**body, "annotations": notes}).encode(), KIND)


def make_current(
    registry: Registry, environment: str, found: Manifest, reason: str = ""
) -> list[str]:
    """Let an environment's tag point at a tested image, or at any if there is a reason.

    Returns lines that describe the change. Raises TaskError when the image is not tested; one that
    is current already is not checked, unless there is a reason to record.
    """
    if not reason and registry.digest(environment) == found.digest:
        return [_nothing(environment, short(found.digest))]
    image = candidate(registry, found)
    admit(registry, image, reason)
    return describe(environment, move(registry, environment, image), image)


def move(registry: Registry, environment: str, image: Candidate) -> Candidate | None:
    """Let an environment's tag point at an image, and ENVIRONMENT-previous at the one before.

    Returns what it pointed at; None for nothing. When that was this very image, nothing is done.
    Raises TaskError when somebody else released at the same time, and theirs stands.
    """
    old = registry.find(environment)
    if old and old.digest == image.manifest.digest:
        return image
    if old:
        registry.put(f"{environment}-previous", old)
    registry.put(environment, image.manifest)
    now = registry.digest(environment)
    if now != image.manifest.digest and not registry.dry:
        what = f"{environment} is {short(now)} now: somebody else released at the same time"
        raise TaskError(what, "inv images shows it; agree, then run this again")
    return candidate(registry, old) if old else None


def describe(environment: str, old: Candidate | None, new: Candidate) -> list[str]:
    """What a release changes: from, to, and the commits in between."""
    if old == new:
        return [_nothing(environment, str(new))]
    lines = [f"{environment}: {old or 'nothing'} -> {new}"]
    if not old:
        return lines
    try:
        first, last = (each.revision.removesuffix("-dirty") for each in (old, new))
        return lines + [f"  {commit}" for commit in git.between(first, last)]
    except TaskError as error:
        return [*lines, f"  the commits in between are not known: {error}"]


def _nothing(environment: str, image: str) -> str:
    return f"{environment} has {image} already: nothing to do"
