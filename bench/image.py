"""The image: how long it builds and how big it is, against the old setup's Dockerfile."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count

from scratch import Scratch
from sides import alternate
from table import Row

COLD, WARM = 2, 3
OURS = ["--target=runtime"]
THEIRS = ["--file=bench/naive.Dockerfile"]
# After this a step that does nothing bears the mark, so that the build cache tells what is of here.
FROM = re.compile(r"^FROM .*$", re.MULTILINE)
MOUNT = re.compile(r"--mount=type=cache,target=(\S+?)(?=[,\s])")


def measure(scratch: Scratch) -> list[Row]:
    """From nothing, then again and again after a change of one line."""
    builds = Builds(scratch)
    cold = alternate(builds.cold(OURS), builds.cold(THEIRS), COLD, warm=False)
    warm = alternate(builds.changed(OURS), builds.changed(THEIRS), WARM, warm=False)
    sizes = builds.size(OURS), builds.size(THEIRS)
    return [
        Row("image, rebuilt after a one-line change / the old setup", *warm, 1 / 20, faster=True),
        Row("image, from nothing (no layer, empty pip and apt caches) / the old setup", *cold, 1),
        Row("image, size / the old setup", *sizes, 0.35, unit="MB"),
    ]


class Builds:
    """Builds of the copy's images; each build makes an image of its own name."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch
        self.numbers = count(1)
        self.last: dict[str, str] = {}
        for file in (scratch.tree / "Dockerfile", scratch.tree / "bench/naive.Dockerfile"):
            file.write_text(FROM.sub(rf"\g<0>\nRUN : {scratch.mark}", file.read_text(), count=1))
        self.dockerfile = (scratch.tree / "Dockerfile").read_text()

    def build(self, how: list[str], *words: str) -> float:
        """Seconds of a build."""
        tag = self.last[how[0]] = f"{self.scratch.mark}:{next(self.numbers)}"
        revision = f"--build-arg=REVISION={tag}"
        return self.scratch.seconds(
            "docker", "build", "--quiet", f"--tag={tag}", revision, *how, *words, "."
        )

    def cold(self, how: list[str]) -> Callable[[], float]:
        """A build without any layer, and with cache mounts that nobody used yet."""

        def take() -> float:
            name = f"{self.scratch.mark}-{next(self.numbers)}"
            mounts = rf"--mount=type=cache,id={name}-\1,target=\1"
            (self.scratch.tree / "Dockerfile").write_text(MOUNT.sub(mounts, self.dockerfile))
            return self.build(how, "--no-cache")

        return take

    def changed(self, how: list[str]) -> Callable[[], float]:
        """A build after one more line in the code."""

        def take() -> float:
            self.scratch.change()
            return self.build(how)

        return take

    def size(self, how: list[str]) -> float:
        """Megabytes of the side's last image."""
        words = ["image", "inspect", "--format={{.Size}}", self.last[how[0]]]
        return int(self.scratch.docker(*words)) / 1e6
