"""Find the image that a ref means: a digest, a tag, a commit, a branch or an environment."""

import re
from collections.abc import Collection, Iterator

from .. import console
from ..errors import ExitCode, TaskError
from ..project import git
from ..registry.client import Manifest, Registry
from ..registry.reference import BRANCH_LABEL, DIGEST, REVISION_LABEL, TAG
from . import promotion, tags
from .promotion import Candidate

ABBREVIATED = re.compile(r"[0-9a-f]{7,39}")


def resolve(registry: Registry, ref: str, environments: Collection[str] = ()) -> Candidate:
    """Return the image of a ref, as `find` takes it, with the revision in its labels."""
    return promotion.candidate(registry, find(registry, ref, environments))


def find(registry: Registry, ref: str, environments: Collection[str] = ()) -> Manifest:
    """Return the manifest of a digest, a tag, a commit (full or abbreviated) or a branch.

    Raises TaskError if the registry has no such image, or only that of another branch.
    """
    if is_exact(ref, environments):
        found, other = registry.find(ref), ""
    else:
        found, other = _tagged(registry, ref, environments)
        found = found or _built(registry, ref)
    if found:
        return found
    if other:
        raise TaskError(other, "add --ref=COMMIT for the one you mean", ExitCode.REFUSED)
    hint = "build and push it: inv build --push; inv images lists what exists"
    raise TaskError(f"no image for {ref!r} in {registry.image.name}", hint, ExitCode.REFUSED)


def is_exact(ref: str, environments: Collection[str]) -> bool:
    """Whether a ref means one digest or tag and nothing else; warn if git has such a branch."""
    if tags.is_environment(ref, environments):
        if git.has_branch(ref):
            console.warn(
                f"{ref} is the environment here, not the branch - add --ref=COMMIT for that"
            )
        return True
    return bool(DIGEST.fullmatch(ref)) or tags.is_commit(ref)


def _tagged(
    registry: Registry, ref: str, environments: Collection[str]
) -> tuple[Manifest | None, str]:
    """Return the image whose tag means the ref, or why the image with such a tag is another's."""
    slug, other = git.slug(ref), ""
    names = [ref] if TAG.fullmatch(ref) else []
    names += [slug] if slug and not tags.is_reserved(slug, environments) else []
    for tag in dict.fromkeys(names):
        if found := registry.find(tag):
            other = _another(registry, found, tag, ref)
            if not other:
                return found, ""
    return None, other


def _another(registry: Registry, image: Manifest, tag: str, ref: str) -> str:
    """Return whose image a tag is, in a sentence, if it is not the ref's; else empty.

    Branches share a tag if their slugs are the same; a slug that no label explains needs git.
    """
    labels = registry.labels(image)
    owner, branch = tags.owner(labels, tag), labels.get(BRANCH_LABEL, "")
    revision = labels.get(REVISION_LABEL, "")
    if tag == ref:
        same = owner in {"", ref} or not git.has_branch(ref)
    else:
        commit = revision.removesuffix("-dirty")
        unknown = not owner and not branch and commit
        same = owner == ref or bool(unknown and git.has_branch(ref, commit))
    if same:
        return ""
    whose = f"commit {revision[:12] or 'unknown'}"
    if owner or branch:
        whose = f"branch {branch}" if branch and owner in {"", branch} else f"git tag {owner}"
    return f"no image for {ref!r}: the tag {tag} is the image of {whose}"


def _built(registry: Registry, ref: str) -> Manifest | None:
    """Return the image that was built from a ref's commit; None if missing."""
    return next(filter(None, map(registry.find, _commits(registry, ref))), None)


def _commits(registry: Registry, ref: str) -> Iterator[str]:
    """Yield the commits that a ref may mean; the tags are listed only if git does not know it."""
    if commit := git.full(ref):
        yield commit
    if ABBREVIATED.fullmatch(ref):
        known = [tag for tag in registry.tags() if tags.is_commit(tag) and tag.startswith(ref)]
        yield from known if len(known) == 1 else ()
