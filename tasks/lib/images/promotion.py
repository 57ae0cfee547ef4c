"""Promote a tested image to an environment, by moving the environment's tag in the registry."""

import getpass
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from .. import console
from ..errors import ExitCode, TaskError
from ..project import git
from ..registry.client import Manifest, Registry
from ..registry.reference import BRANCH_LABEL, CREATED_LABEL, REVISION_LABEL, short
from ..registry.session import MANIFESTS
from . import tags

EMPTY = "application/vnd.oci.empty.v1+json"


@dataclass(frozen=True)
class Candidate:
    """An image in the registry, and the revision that it was built from; empty if unknown."""

    manifest: Manifest
    revision: str

    def __str__(self) -> str:
        return f"{short(self.digest)} ({self.revision[:12] or 'unknown commit'})"

    @property
    def digest(self) -> str:
        """The image's digest."""
        return self.manifest.digest


def candidate(registry: Registry, manifest: Manifest) -> Candidate:
    """Return the image of a manifest, with the revision from its labels."""
    return Candidate(manifest, registry.labels(manifest).get(REVISION_LABEL, ""))


def mark_tested(registry: Registry, digest: str) -> str:
    """Mark a digest as tested. Returns the mark's tag."""
    image = candidate(registry, registry.manifest(digest))
    tag = tags.tested(image)
    registry.put(tag, image.manifest)
    return tag


def is_tested(registry: Registry, image: Candidate) -> bool:
    """Whether this very image passed the tests: the mark has its digest."""
    return registry.digest(tags.tested(image)) == image.digest


def admitted(registry: Registry, image: Candidate) -> bool:
    """Whether an image may be deployed: it passed the tests, or it was forced with a reason."""
    if is_tested(registry, image):
        return True
    note = registry.find(tags.forced(image))
    return note is not None and note.content.get("annotations", {}).get("digest") == image.digest


def admit(registry: Registry, image: Candidate, reason: str) -> None:
    """Raise TaskError for an untested image without a reason, and record a reason if there is one.

    The record is in the registry, with user and time.
    """
    if is_tested(registry, image):
        return
    if not reason:
        hint = f'inv test --image={registry.image.at(image.digest)}, or --force "reason"'
        raise TaskError(f"{image} is not tested", hint, ExitCode.REFUSED)
    console.warn(f"{image} is not tested, and forced: {reason}")
    notes = {
        "reason": reason,
        "digest": image.digest,
        "by": os.environ.get("GITLAB_USER_LOGIN") or getpass.getuser(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    registry.put(tags.forced(image), note(registry, notes))


def note(registry: Registry, notes: dict[str, str]) -> Manifest:
    """Return a manifest that carries notes and no image."""
    kind = MANIFESTS[0]
    empty = {"mediaType": EMPTY, "digest": registry.put_blob(b"{}"), "size": 2}
    body = {"schemaVersion": 2, "mediaType": kind, "config": empty, "layers": [empty]}
    return Manifest(json.dumps({**body, "annotations": notes}).encode(), kind)


def require_in_order(registry: Registry, before: str, image: Candidate, reason: str = "") -> None:
    """Raise TaskError if a pipeline brings its commit to where a later one has been deployed.

    Two pipelines may end in another order than they began. A person, or a pipeline that names
    another commit than its own, goes where they want.

    Args:
        before: the digest of what runs or is released; empty for nothing.
        reason: why it shall go back nevertheless.
    """
    ours = bool(image.revision) and image.revision == git.pipeline()
    if reason or not ours or before in ("", image.digest):
        return
    if old := later(registry, image, before):
        what = f"{image} is of an earlier commit than {old}: this pipeline comes too late"
        raise TaskError(what, 'inv rollback goes back, or --force "reason"', ExitCode.REFUSED)


def later(registry: Registry, image: Candidate, digest: str) -> Candidate | None:
    """Return the image of a digest if its commit is later; None also if that is unknown."""
    found = registry.find(digest)
    old = candidate(registry, found) if found else None
    return old if old and old.revision and _is_earlier(registry, image, old) else None


def _is_earlier(registry: Registry, new: Candidate, old: Candidate) -> bool:
    """Whether a commit is earlier: by git, or if that lacks one, by the dates of its branch."""
    if git.precedes(old.revision, new.revision):
        return False
    if git.precedes(new.revision, old.revision):
        return True
    labels = [registry.labels(each.manifest) for each in (new, old)]
    if labels[0].get(BRANCH_LABEL) != labels[1].get(BRANCH_LABEL):
        return False
    # Images that others have built may have no date, or one without a time zone.
    with suppress(KeyError, TypeError, ValueError):
        mine, theirs = (datetime.fromisoformat(each[CREATED_LABEL]) for each in labels)
        return mine < theirs
    return False


def make_current(registry: Registry, environment: str, found: Manifest, reason: str) -> list[str]:
    """Point an environment's tag at a tested image, or with a reason at an untested one.

    Returns lines that describe the change. Raises TaskError if the image is not tested, or as
    require_in_order does; the current image is not checked again, unless there is a reason to
    record.
    """
    if not reason and registry.digest(environment) == found.digest:
        return [f"{environment} already points to {short(found.digest)}: nothing to do"]
    image = candidate(registry, found)
    admit(registry, image, reason)
    require_in_order(registry, registry.digest(environment), image, reason)
    old = move(registry, environment, image)
    if old == image:
        return [f"{environment} already points to {image}: nothing to do"]
    return [f"{environment}: {old or 'nothing'} -> {image}", *_commits(old, image)]


def move(registry: Registry, environment: str, image: Candidate) -> Candidate | None:
    """Point an environment's tag at an image, and its previous tag at the image before.

    Returns the image before, or None; does nothing if it is this very image.
    Raises TaskError if another release at the same time won.
    """
    old = registry.find(environment)
    if old and old.digest == image.digest:
        return image
    if old:
        registry.put(tags.previous(environment), old)
    registry.put(environment, image.manifest)
    now = registry.digest(environment)
    if now != image.digest and not registry.dry:
        what = f"{environment} now points to {short(now)}: another release won the race"
        raise TaskError(what, "see inv images, coordinate, then retry")
    return candidate(registry, old) if old else None


def _commits(old: Candidate | None, new: Candidate) -> list[str]:
    if not (old and old.revision and new.revision):
        return []
    try:
        first, last = (image.revision.removesuffix("-dirty") for image in (old, new))
        return [f"  {commit}" for commit in git.between(first, last)]
    except TaskError as error:
        return [f"  commits in between unknown: {error}"]
