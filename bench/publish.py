"""Publishing: build, push and release, against a pull, a tag and a push without shared cache."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from engines import BASE, KINDS, Engine, Registry
from scratch import Scratch
from sides import alternate
from table import Row

FRESH, RELEASES, AGAIN = 2, 5, 9
ENVIRONMENT = "staging"


def measure(scratch: Scratch) -> list[Row]:
    """Builds on engines that know nothing, then a change, then releases."""
    bench = Publishing(scratch)
    bench.ours.fresh()
    built = alternate(bench.ours.fresh, bench.theirs.fresh, FRESH, warm=False)
    pushed = bench.ours.pushed(), bench.theirs.pushed()
    size = bench.size()
    released = alternate(bench.release, bench.promote, RELEASES)
    moved = bench.moved(bench.release), bench.moved(bench.promote)
    again = alternate(bench.nothing, bench.bare, AGAIN)
    note = f"the old setup pushes {pushed[1]:.3g} MB"
    bare = "release with nothing to do / a manifest request by curl and `./inv --list`"
    change = "bytes pushed after a one-line change / the image"
    return [
        Row("release / pull, tag, push", *released, 1 / 10, faster=True),
        Row("release, bytes of layers moved / pull, tag, push", *moved, 0, unit="MB"),
        Row(change, pushed[0], size, 0.02, unit="MB", note=note),
        Row("build and push on a fresh engine / the old setup", *built, 1 / 5, faster=True),
        Row(bare, *again, 1.5),
    ]


class Side:
    """One way to build and push a commit."""

    def __init__(self, bench: Publishing, name: str, publish: Callable[[Engine], float]) -> None:
        self.bench, self.name, self.publish = bench, name, publish
        self.engine: Engine | None = None

    def fresh(self) -> float:
        """Seconds to build and push a new commit on an engine of its own."""
        self.bench.commit()
        if self.engine:
            self.engine.remove()
        self.engine = self.bench.engine(self.name)
        return self.publish(self.engine)

    def pushed(self) -> float:
        """Megabytes that the registry gets after one more line, from the engine that built last."""
        assert self.engine
        self.bench.commit()
        before = self.bench.registry.received()
        self.publish(self.engine)
        return (self.bench.registry.received() - before) / 1e6


class Publishing:
    """A repository that is the copy of the work tree, a registry, and engines."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch, self.registry = scratch, Registry(scratch)
        self.numbers = count(1)
        # The commits that ours has built, which pass as tested.
        self.tested: list[str] = []
        self.runner: Engine | None = None
        self.env = {
            "INVOKE_REGISTRY_IMAGE": self.registry.image,
            "DOCKER_CONFIG": str(scratch.folder / "docker-config"),
        }
        self.ours, self.theirs = Side(self, "ours", self._inv), Side(self, "theirs", self._naive)
        self.commit()

    def commit(self) -> str:
        """Add one line to the code, and commit."""
        self.scratch.change()
        return self.scratch.commit()

    def engine(self, name: str, base: bool = True) -> Engine:
        """An engine that nobody used."""
        made = Engine(self.scratch, f"{name}{next(self.numbers)}", self.registry.forwards)
        if base:
            made.load(BASE)
        return made

    def _inv(self, engine: Engine) -> float:
        taken = engine.seconds("./inv", "build", "--push", **self.env)
        commit = self.scratch.run("git", "rev-parse", "HEAD").strip()
        self.registry.tag(f"tested-{commit}", self.registry.manifest(commit))
        self.tested.append(commit)
        return taken

    def _naive(self, engine: Engine) -> float:
        name = f"{self.registry.image}:naive"
        build = ("docker", "build", "--file=bench/naive.Dockerfile", f"--tag={name}", ".")
        return engine.seconds(*build) + engine.seconds("docker", "push", name)

    def size(self) -> float:
        """Megabytes of our image's layers, as the registry keeps them."""
        return sum(self.registry.manifest(self.tested[-1]).layers.values()) / 1e6

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
        where = f"http://{self.registry.host}/v2/bench/app/manifests/{ENVIRONMENT}"
        accept = f"Accept: {', '.join(KINDS)}"
        curl = ("curl", "--silent", "--fail", "--output", "/dev/null", "--header", accept, where)
        return self.scratch.seconds(*curl) + self.scratch.seconds("./inv", "--list")

    def promote(self) -> float:
        """Seconds to pull that image on a runner that has none, to tag it, and to push it."""
        self.runner = self.runner or self.engine("runner", base=False)
        self.tested.insert(0, self.tested.pop())
        built, wanted = (f"{self.registry.image}:{tag}" for tag in (self.tested[-1], "naive"))
        steps = (["pull", built], ["tag", built, wanted], ["push", wanted])
        taken = sum(self.runner.seconds("docker", *words) for words in steps)
        self.runner.docker("rmi", built, wanted)
        return taken

    def moved(self, take: Callable[[], float]) -> float:
        """Megabytes of layers that come or go while something is done."""
        known, before = len(self.registry.requests()), self.registry.received()
        take()
        asked = self.registry.requests()[known:]
        sizes = {k: v for tag in self.tested for k, v in self.registry.manifest(tag).layers.items()}
        down = sum(sizes.get(digest, 0) for method, digest in asked if method == "GET")
        up = self.registry.received() - before if "PATCH" in dict(asked) else 0
        return (down + up) / 1e6
