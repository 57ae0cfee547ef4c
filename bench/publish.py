"""Publishing: build, push and release, against a pull, a tag and a push without shared cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench.table import Row, alternate
from tests.testbed.engines import BASE, Engine, forward
from tests.testbed.registries import ACCEPT, Server, client, mark_tested, serve
from tests.testbed.scratch import Scratch

FRESH, RELEASES, AGAIN = 2, 5, 9
ENVIRONMENT, NAME = "staging", "bench/app"


def measure(scratch: Scratch) -> list[Row]:
    """Builds on engines that know nothing, then a change, then releases."""
    with serve(name=f"{scratch.mark}-registry") as server:
        return compare(Publishing(scratch, server))


def compare(bench: Publishing) -> list[Row]:
    """What takes how long, and what moves, with one registry."""
    ours, theirs = (partial(bench.fresh, side) for side in ("ours", "theirs"))
    ours()
    built = alternate(ours, theirs, FRESH, warm=False)
    pushed = bench.pushed("ours"), bench.pushed("theirs")
    released = alternate(bench.release, bench.promote, RELEASES)
    moved = bench.moved(bench.release), bench.moved(bench.promote)
    again = alternate(bench.nothing, bench.bare, AGAIN)
    note = f"the old setup pushes {pushed[1]:.3g} MB"
    bare = "release with nothing to do / a manifest request by curl and `./inv --list`"
    change = "bytes pushed after a one-line change / the image"
    size = sum(bench.layers(bench.tested[-1]).values()) / 1e6
    return [
        Row("release / pull, tag, push", *released, 1 / 10, faster=True),
        Row("release, bytes of layers moved / pull, tag, push", *moved, 0, unit="MB"),
        Row(change, pushed[0], size, 0.02, unit="MB", note=note),
        Row("build and push on a fresh engine / the old setup", *built, 1 / 5, faster=True),
        Row(bare, *again, 1.5),
    ]


class Publishing:
    """A repository that is the clone, a registry, and engines: those that built last, by side."""

    def __init__(self, scratch: Scratch, server: Server) -> None:
        self.scratch, self.server, self.image = scratch, server, f"{server.host}/{NAME}"
        self.registry = client(self.image)
        # The commits that ours has built, which pass as tested.
        self.tested: list[str] = []
        self.engines: dict[str, Engine] = {}
        login = str(scratch.folder / "docker-config")
        self.env = {"INVOKE_REGISTRY_IMAGE": self.image, "DOCKER_CONFIG": login}

    def engine(self, name: str) -> Engine:
        """An engine that nobody used, whose localhost has the registry, too."""
        leads = forward({self.server.port: self.server.container})
        return self.scratch.engine(f"{name}{next(self.scratch.numbers)}", leads)

    def fresh(self, side: str) -> float:
        """Seconds to build and push a new commit on an engine of its own."""
        if before := self.engines.get(side):
            before.remove()
        self.engines[side] = self.engine(side)
        self.engines[side].load(BASE, self.scratch.folder / "base.tar")
        return self.publish(side)

    def pushed(self, side: str) -> float:
        """Megabytes that the registry gets after one more line, from the engine that built last."""
        before = self.server.received()
        self.publish(side)
        return (self.server.received() - before) / 1e6

    def publish(self, side: str) -> float:
        """Seconds to build and push one more line of code."""
        commit, env, name = self.scratch.change(), self.engines[side].env, f"{self.image}:naive"
        if side == "theirs":
            build = ["build", "--file=bench/naive.Dockerfile", f"--tag={name}", "."]
            return self._docker(env, build, ["push", name])
        taken = self.scratch.seconds("./inv", "build", "--push", **env, **self.env)
        mark_tested(self.registry, commit)
        self.tested.append(commit)
        return taken

    def _docker(self, env: dict[str, str], *steps: list[str]) -> float:
        return sum(self.scratch.seconds("docker", *words, **env) for words in steps)

    def layers(self, tag: str) -> dict[str, int]:
        """The size of each layer of an image as the registry keeps it, by digest."""
        listed = self.registry.manifest(tag).content["layers"]
        return {layer["digest"]: layer["size"] for layer in listed}

    def release(self) -> float:
        """Seconds to release the image before the one that is released."""
        self.tested.insert(0, self.tested.pop())
        return self.nothing()

    def nothing(self) -> float:
        """Seconds to release what is released; after `release`, that."""
        words = ("release", f"--env={ENVIRONMENT}", f"--ref={self.tested[-1]}")
        return self.scratch.seconds("./inv", *words, **self.env)

    def bare(self) -> float:
        """Seconds of a manifest request by curl, and of Invoke with our tasks."""
        where = f"http://{self.server.host}/v2/{NAME}/manifests/{ENVIRONMENT}"
        curl = ("curl", "--silent", "--fail", "--output", "/dev/null", "--header", ACCEPT, where)
        return self.scratch.seconds(*curl) + self.scratch.seconds("./inv", "--list")

    def promote(self) -> float:
        """Seconds to pull that image on a runner that has none, to tag it, and to push it."""
        if "runner" not in self.engines:
            self.engines["runner"] = self.engine("runner")
        runner = self.engines["runner"]
        self.tested.insert(0, self.tested.pop())
        built, wanted = (f"{self.image}:{tag}" for tag in (self.tested[-1], "naive"))
        steps = (["pull", built], ["tag", built, wanted], ["push", wanted])
        taken = self._docker(runner.env, *steps)
        runner.docker("rmi", built, wanted)
        return taken

    def moved(self, take: Callable[[], float]) -> float:
        """Megabytes of layers that come or go while something is done."""
        known, before = len(self.server.blobs()), self.server.received()
        take()
        asked = self.server.blobs()[known:]
        sizes = {key: size for tag in self.tested for key, size in self.layers(tag).items()}
        down = sum(sizes.get(digest, 0) for method, digest in asked if method == "GET")
        up = self.server.received() - before if "PATCH" in dict(asked) else 0
        return (down + up) / 1e6
