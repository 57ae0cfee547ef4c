"""Write an image's software bill of materials: its Python and Debian packages, as CycloneDX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Context

from ..docker import client
from ..registry.client import Registry
from ..registry.reference import Reference
from . import login

if TYPE_CHECKING:
    from cyclonedx.model.component import Component

# Runs in the image; prints a line per package: kind, name, version, architecture, by tabs.
LIST = r"""
set -eu
if command -v python >/dev/null; then python -I -c '
import importlib.metadata as m
for d in m.distributions(): print("pypi", d.metadata["Name"], d.version, "", sep="\t")'
fi
if command -v dpkg-query >/dev/null; then
    . /etc/os-release
    dpkg-query -W -f="$ID\t\${Package}\t\${Version}\t\${Architecture}\n"
fi
"""


def cyclonedx(image: Reference, packages: str) -> str:
    """Return the bill of materials (CycloneDX 1.6, JSON) of the packages that LIST printed."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion

    rows = sorted({tuple(line.split("\t")) for line in packages.splitlines() if line})
    version = image.digest or image.tag
    root = Component(
        name=image.name, version=version, type=ComponentType.CONTAINER, bom_ref="image"
    )
    bom = Bom(components=[_component(*row) for row in rows])
    bom.metadata.component = root
    bom.register_dependency(root, bom.components)
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)


def _component(kind: str, name: str, version: str, arch: str) -> Component:
    from cyclonedx.model.component import Component
    from packageurl import PackageURL

    if kind == "pypi":
        purl = PackageURL("pypi", None, name.lower().replace("_", "-"), version)
    else:
        purl = PackageURL("deb", kind, name, version, {"arch": arch})
    return Component(name=name, version=version, purl=purl, bom_ref=str(purl))


def bill_of_materials(ctx: Context, image: Reference, registry: Registry) -> str:
    """Return an image's bill of materials; pulls the image if the engine lacks it."""
    with login.logged_in(ctx, registry.login) as env:
        return cyclonedx(image, client.output(ctx, str(image), LIST, env))
