"""What runs on one server, read from its containers as a stack."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from ...errors import TaskError
from ...project import contract
from ..stack import Stack
from .containers import Container, by_service, serving


def read(containers: Sequence[Container], stack: str) -> Stack:
    """Return a stack as it runs. Raises TaskError when its app has no image with a digest.

    Every container says what it was made from. Its image may have been set by hand since.
    """
    content: dict[str, Any] = {"services": {}}
    for name, mine in by_service(containers).items():
        first = serving(mine)[0]
        for kind, each in copy.deepcopy(first.content).items():
            content.setdefault(kind, {}).update(each)
        content["services"][name]["image"] = first.facts["Config"]["Image"]
    image = content["services"].get(contract.APP, {}).get("image", "")
    if "@sha256:" not in image:
        what = f"{stack} runs no service {contract.APP} with an image that is pinned by its digest"
        raise TaskError(what, "deploy it anew: inv deploy")
    return Stack(stack, image, content)
