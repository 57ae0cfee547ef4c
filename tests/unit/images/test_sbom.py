"""The bill of materials names each package once, as other tools know it."""

from __future__ import annotations

import json

from tasks.lib.images import sbom
from tasks.lib.registry.reference import Reference

LISTED = """\
pypi\tDjango\t5.2.1\t
pypi\tDjango\t5.2.1\t
debian\tlibc6\t2.41-12\tamd64
"""
IMAGE = Reference("r.example.com", "app", digest=f"sha256:{'a' * 64}")


def test_each_package_is_named_once_with_its_package_url():
    bill = json.loads(sbom.cyclonedx(IMAGE, LISTED))
    assert sorted(each["purl"] for each in bill["components"]) == [
        "pkg:deb/debian/libc6@2.41-12?arch=amd64",
        "pkg:pypi/django@5.2.1",
    ]
    assert bill["metadata"]["component"]["version"] == IMAGE.digest
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
