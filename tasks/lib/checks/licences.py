"""The licences of packages, as their metadata states them, and whether they are allowed."""

from collections.abc import Collection, Iterable
from importlib import metadata
from typing import Any

from ..project.requirements import Pin

# The Pythons that the requirements are locked for.
PYTHONS = ("3.11", "3.12", "3.13")


def shipped(pins: Iterable[Pin]) -> list[Pin]:
    """Return the packages that are installed on Linux, which images use."""
    from packaging.markers import Marker

    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    images = [
        {**linux, "python_version": name, "python_full_version": f"{name}.99"} for name in PYTHONS
    ]
    return [pin for pin in pins if not pin.marker or any(map(Marker(pin.marker).evaluate, images))]


def stated(pin: Pin, folder: str) -> list[str]:
    """Return the licences in a package's metadata; none if a folder does not have this version."""
    found = metadata.distributions(name=pin.name, path=[folder])
    package = next((each.metadata for each in found if each.version == pin.version), None)
    if package is None:
        return []
    classifiers = [name.split(" :: ") for name in package.get_all("Classifier") or []]
    names = [parts[-1] for parts in classifiers if parts[0] == "License"]
    names = [name for name in names if name != "OSI Approved"]
    texts = [text for text in package.get_all("License") or [] if text not in ("", "UNKNOWN")]
    return package.get_all("License-Expression") or names or texts


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
