"""The volumes of a pod, and where its containers have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ...project import contract
from ..rendering import mounts as compose_mounts
from ..stack import Stack
from .naming import version

# The folder of a container's secrets: one volume of the pod, with a file for each.
SECRETS = "/run/secrets"
# The key of a secret's or a config's object that has its text.
VALUE = "value"


class Mounted(NamedTuple):
    """A volume of a pod, and its mount in a container."""

    volume: dict[str, Any]
    mount: dict[str, Any]


def mounted(stack: Stack, service: Mapping[str, Any]) -> list[Mounted]:
    """Return the volumes of a service with their mounts, each volume once."""
    return [
        *_secrets(stack, service),
        *(_config(stack, use) for use in service.get("configs", [])),
        *(_volume(mount, number) for number, mount in enumerate(compose_mounts(service))),
    ]


def _secrets(stack: Stack, service: Mapping[str, Any]) -> Iterator[Mounted]:
    uses = sorted(service.get("secrets", []), key=_file)
    if not uses:
        return
    sources = [
        {
            "secret": {
                "name": version(stack.name, stack.content["secrets"][use["source"]]["name"]),
                "items": [{"key": VALUE, "path": _file(use), "mode": _mode(use)}],
            }
        }
        for use in uses
    ]
    volume = {"name": "secrets", "projected": {"sources": sources}}
    yield Mounted(volume, {"name": "secrets", "mountPath": SECRETS, "readOnly": True})


def _file(use: Mapping[str, Any]) -> str:
    """Return the file of a secret, in the folder of secrets."""
    return str(use.get("target") or use["source"]).removeprefix(f"{SECRETS}/")


def _mode(use: Mapping[str, Any]) -> int:
    """Return the mode of a secret's file. Its owner is root: the container reads as its group."""
    given = int(use.get("mode", 0o444))
    return given | (given >> 3) & 0o070


def _config(stack: Stack, use: Mapping[str, Any]) -> Mounted:
    name = version(stack.name, stack.content["configs"][use["source"]]["name"])
    target = use.get("target") or use["source"]
    path = target if target.startswith("/") else f"/{target}"
    volume = {"name": f"config-{use['source']}", "configMap": {"name": name}}
    mount = {"name": volume["name"], "mountPath": path, "subPath": VALUE, "readOnly": True}
    return Mounted(volume, mount)


def _volume(mount: Mapping[str, Any], number: int) -> Mounted:
    """Return a volume on a disk or in memory.

    Static files are laid into each pod that serves them, by a container that starts before.
    """
    source, target = mount.get("source", ""), mount["target"]
    name, kind = f"data-{source}", {"persistentVolumeClaim": {"claimName": source}}
    if mount["type"] == "tmpfs":
        size = str(mount["tmpfs"]["size"])
        name, kind = f"memory-{number}", {"emptyDir": {"medium": "Memory", "sizeLimit": size}}
    elif not is_kept(mount):
        name, kind = contract.STATIC_FILES, {"emptyDir": {}}
    readonly = {"readOnly": True} if mount.get("read_only") else {}
    return Mounted({"name": name, **kind}, {"name": name, "mountPath": target, **readonly})


def kept(service: Mapping[str, Any]) -> set[str]:
    """Return the volumes of a service whose files outlive a pod."""
    return {each["source"] for each in service.get("volumes") or [] if is_kept(each)}


def is_kept(mount: Mapping[str, Any]) -> bool:
    """Return whether a mount is of a volume whose files outlive a pod."""
    return mount["type"] == "volume" and mount.get("source") != contract.STATIC_FILES
