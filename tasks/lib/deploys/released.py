"""What a deploy runs becomes what is released for its environment."""

from __future__ import annotations

from .. import console
from ..errors import ExitCode, TaskError
from ..images import promotion
from ..images.promotion import Candidate
from ..project.names import is_dynamic
from ..registry.reference import short
from .deployment import Deployment


def release(deployment: Deployment) -> None:
    """Release the image that runs for the environment, unless that is a dynamic one."""
    target, record = deployment.target, deployment.record
    name, registry, digest = target.name, target.registry, record.digest
    if is_dynamic(name):
        return
    try:
        image = deployment.image or Candidate(registry.manifest(digest), record.revision)
        old = promotion.move(registry, name, image)
    except TaskError as error:
        hint = f"then inv release --env={name} --ref={digest}"
        what = f"{short(digest)} runs, but is not what is released: {error}"
        raise TaskError(what, hint, ExitCode.PERSON) from None
    if old != image:
        console.say(f"released for {name}: {image}" + (f", instead of {old}" if old else ""))
