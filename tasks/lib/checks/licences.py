"""The licences of packages, as their metadata states them, and whether they are allowed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from importlib import metadata
from typing import Any

from ..project.requirements import Pin

# The Pythons that the requirements are locked for.
PYTHONS = ("3.11.99", "3.12.99", "3.13.99")


def shipped(pins: Iterable[Pin]) -> list[Pin]:
    """Return the packages that are installed on Linux, which images use."""
    return [pin for pin in pins if not pin.marker or _applies(pin.marker)]


def _applies(marker: str) -> bool:
    from packaging.markers import Marker

    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    pythons = (
        {"python_full_version": full, "python_version": full.rpartition(".")[0]} for full in PYTHONS
    )
    return any(Marker(marker).evaluate({**linux, **python}) for python in pythons)


def stated(pin: Pin) -> list[str]:
    """Return the licences in a package's metadata; none if this version is not installed here."""
    try:
        package = metadata.metadata(pin.name)
    except metadata.PackageNotFoundError:
        return []
    if package["Version"] != pin.version:
        return []
    classifiers = [name for name in package.get_all("Classifier") or [] if _is_licence(name)]
    names = [name.rpartition(" :: ")[2] for name in classifiers]
    texts = [text for text in package.get_all("License") or [] if text not in ("", "UNKNOWN")]
    return package.get_all("License-Expression") or names or texts


def _is_licence(classifier: str) -> bool:
    return classifier.startswith("License :: ") and classifier != "License :: OSI Approved"


def allowed(licence: str, allow: Collection[str]) -> bool:
    """Return whether a licence is allowed, or an SPDX expression of allowed ones."""
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
