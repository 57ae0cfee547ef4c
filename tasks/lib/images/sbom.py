"""Write an image's software bill of materials: its Python and Debian packages, as CycloneDX."""

from invoke import Context

from ..docker import client
from ..registry.client import Registry
from ..registry.reference import Reference
from . import login

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
    from packageurl import PackageURL

    container, digest = ComponentType.CONTAINER, image.digest
    root = Component(name=image.name, version=digest, type=container, bom_ref="image")
    bom = Bom()
    for line in filter(None, packages.splitlines()):
        kind, name, version, arch = line.split("\t")
        type_, distribution = ("pypi", None) if kind == "pypi" else ("deb", kind)
        purl = PackageURL(type_, distribution, name, version, {"arch": arch})
        bom.components.add(Component(name=name, version=version, purl=purl, bom_ref=str(purl)))
    bom.metadata.component = root
    bom.register_dependency(root, bom.components)
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)


def bill_of_materials(ctx: Context, image: Reference, registry: Registry) -> str:
    """Return an image's bill of materials; pulls the image if the engine lacks it."""
    with login.logged_in(ctx, registry.login) as env:
        return cyclonedx(image, client.output(ctx, str(image), LIST, env))
