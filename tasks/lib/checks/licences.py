"""What the licences of packages are, by their metadata, and whether they are allowed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..project.requirements import Pin

# The Pythons that the lock files are for.
PYTHONS = ("3.11.99", "3.12.99", "3.13.99")


def shipped(pins: Iterable[Pin]) -> list[Pin]:
    """Those that are installed on Linux, which is what images are."""
    return [pin for pin in pins if not pin.marker or _applies(pin.marker)]


def _applies(marker: str) -> bool:
    from packaging.markers import Marker

    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    pythons = (
        {"python_full_version": full, "python_version": full.rpartition(".")[0]} for full in PYTHONS
    )
    return any(Marker(marker).evaluate({**linux, **python}) for python in pythons)


def stated(pin: Pin) -> list[str]:
    """The licences that a package's metadata tells; empty where it tells none or is not here."""
    try:
        said = metadata.metadata(pin.name)
    except metadata.PackageNotFoundError:
        return []
    if said["Version"] != pin.version:
        return []
    classifiers = [each for each in said.get_all("Classifier") or [] if _is(each)]
    names = [each.rpartition(" :: ")[2] for each in classifiers]
    texts = [each for each in said.get_all("License") or [] if each not in ("", "UNKNOWN")]
    return said.get_all("License-Expression") or names or texts


def _is(classifier: str) -> bool:
    return classifier.startswith("License :: ") and classifier != "License :: OSI Approved"


def allowed(licence: str, allow: Collection[str]) -> bool:
    """Whether a licence is one of those that are allowed, or an SPDX expression made of them."""
    from license_expression import ExpressionError, Licensing

    if licence in allow:
        return True
    try:
        return _holds(Licensing().parse(licence), allow)
    except ExpressionError:
        return False


def _holds(node: Any, allow: Collection[str]) -> bool:
    parts = [_holds(part, allow) for part in node.args]
    if not parts:
        return str(node) in allow
    return any(parts) if node.operator.strip() == "OR" else all(parts)
