"""A lab's images: the servers' own, and those of Docker Hub that its mirror serves."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import DEVNULL

from invoke import Context

from .. import console, process
from ..docker import cli, client
from ..docker.build import Build, build
from ..errors import TaskError
from ..project.app_settings import Services
from ..project.settings import ROOT
from ..registry.client import Registry
from ..registry.reference import HUB, Reference
from ..registry.session import Session

IMAGES = ROOT / "lab/images"
REGISTRY = "registry:2"


def node_image() -> str:
    """Return the name of the servers' image, with a hash of its definition as its tag."""
    files = [file.read_bytes() for file in sorted(IMAGES.glob("node*"))]
    return f"lab-node:{hashlib.sha256(b''.join(files)).hexdigest()[:12]}"


def hub_images(services: Services) -> list[str]:
    """Return the images of Docker Hub that the Compose files name which the project uses."""
    files = [ROOT / "compose/base.yml", ROOT / "compose/server.yml", *services.overlays(ROOT)]
    text = "".join(file.read_text("utf-8") for file in files)
    found = {*re.findall(r"^ +image: *([^\s$]+)$", text, re.M)}
    return sorted(name for name in found if Reference.parse(name).host == HUB)


def ensure(ctx: Context, services: Services) -> None:
    """Get missing images: pull those of Docker Hub, build the servers'."""
    for image in [REGISTRY, *hub_images(services)]:
        if not client.has(ctx, image):
            console.say(f"pulling {image}")
            client.pull(ctx, image)
    if not client.has(ctx, node_image()):
        console.say(f"building {node_image()}")
        build(ctx, Build(IMAGES, "node", [node_image()], file="node.Dockerfile"), {})


@contextmanager
def pushing(ctx: Context, port: int, services: Services) -> Iterator[None]:
    """Push the images of Docker Hub to the mirror at a port, in the background of the block.

    Raises TaskError at the block's end when a push fails.
    """
    pushes = {}
    try:
        for image in hub_images(services):
            source = Reference.parse(image)
            copy = Reference(f"localhost:{port}", source.path, source.tag)
            if not Registry(copy, Session(copy.host)).digest(copy.tag):
                cli.run(ctx, "tag", image, str(copy))
                pushes[str(copy)] = cli.popen(ctx, "push", "--quiet", str(copy), stdout=DEVNULL)
        yield
        for name, push in pushes.items():
            if process.wait(push):
                raise TaskError(f"docker push {name} failed: see above", "retry inv lab.up")
    finally:
        for name, push in pushes.items():
            process.end(push)
            cli.run(ctx, "image", "rm", name)
