"""The image: how long it builds and how big it is, against the old setup's Dockerfile."""

from __future__ import annotations

import re
from functools import partial

from bench.table import Row, alternate
from tests.testbed.commands import docker
from tests.testbed.project import ARGUMENTS
from tests.testbed.scratch import Scratch

COLD, WARM = 2, 3
SIDES = "--target=runtime", "--file=bench/naive.Dockerfile"
# After this a step that does nothing bears the mark, so that the build cache tells what is of here.
FROM = re.compile(r"^FROM .*$", re.MULTILINE)
MOUNT = re.compile(r"--mount=type=cache,target=(\S+?)(?=[,\s])")


def measure(scratch: Scratch) -> list[Row]:
    """From nothing, then again and again after a change of one line."""
    builds = Builds(scratch)
    cold = alternate(*(partial(builds.cold, side) for side in SIDES), COLD, warm=False)
    warm = alternate(*(partial(builds.changed, side) for side in SIDES), WARM, warm=False)
    size = ("image", "inspect", "--format={{.Size}}")
    sizes = [int(docker(*size, builds.last[side])) / 1e6 for side in SIDES]
    return [
        Row("image, rebuilt after a one-line change / the old setup", *warm, 1 / 20, faster=True),
        Row("image, from nothing (no layer, empty pip and apt caches) / the old setup", *cold, 1),
        Row("image, size / the old setup", *sizes, 0.35, unit="MB"),
    ]


class Builds:
    """Builds of the clone's images; each build makes an image of its own name."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch, self.last = scratch, dict[str, str]()
        self.file = scratch.root / "Dockerfile"
        for file in (self.file, scratch.root / "bench/naive.Dockerfile"):
            file.write_text(FROM.sub(rf"\g<0>\nRUN : {scratch.mark}", file.read_text(), count=1))
        self.text = self.file.read_text()

    def cold(self, side: str) -> float:
        """Seconds of a build without any layer, with cache mounts that nobody used yet."""
        name = f"{self.scratch.mark}-{next(self.scratch.numbers)}"
        mounts = rf"--mount=type=cache,id={name}-\1,target=\1"
        self.file.write_text(MOUNT.sub(mounts, self.text))
        return self._build(side, "--no-cache")

    def changed(self, side: str) -> float:
        """Seconds of a build after one more line in the code."""
        self.scratch.change()
        return self._build(side)

    def _build(self, side: str, *words: str) -> float:
        tag = self.last[side] = f"{self.scratch.mark}:{next(self.scratch.numbers)}"
        more = (f"--tag={tag}", f"--build-arg=REVISION={tag}", side, *ARGUMENTS, *words)
        return self.scratch.seconds("docker", "build", "--quiet", *more, ".")
