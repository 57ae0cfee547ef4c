"""A backup that a person has fetched: its files in a folder or a tar on this machine."""

from __future__ import annotations

import base64
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePath
from typing import Any, BinaryIO, NamedTuple

from .. import console
from ..environments.connection import Target
from ..environments.storage import size
from ..errors import ExitCode, TaskError
from ..project import contract
from . import backups

MANIFEST, KEY = "manifest.json", "key.age"


class File(NamedTuple):
    """A file of a backup: its size, and what opens it."""

    size: int
    open: Callable[[], Any]

    def read(self) -> bytes:
        """Return all that is in it."""
        with self.open() as file:
            return bytes(file.read())


@contextmanager
def files(path: str) -> Iterator[dict[str, File]]:
    """Yield the files of a folder or a tar, by their names without a folder."""
    if Path(path).is_dir():
        found = [each for each in Path(path).iterdir() if each.is_file()]
        yield {each.name: File(each.stat().st_size, partial(each.open, "rb")) for each in found}
        return
    with tarfile.open(path) as archive:
        yield {
            PurePath(each.name).name: File(each.size, partial(archive.extractfile, each))
            for each in archive.getmembers()
            if each.isfile()
        }


def read(path: str) -> dict[str, Any]:
    """Return a backup as the list of an environment's has it. Raises TaskError if it is none."""
    try:
        with files(path) as found:
            manifest = dict(json.loads(found[MANIFEST].read()))
            backups.moment(manifest["name"])
            if wrong := _wrong(manifest["files"], found):
                raise TaskError(f"{path}: {wrong}", code=ExitCode.REFUSED)
            key = base64.b64encode(found[KEY].read()).decode()
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError) as error:
        what = f"{path} has no backup: {type(error).__name__} {error}"
        hint = f"all files of one backup, {MANIFEST} among them, in a folder or a tar"
        raise TaskError(what, hint, ExitCode.REFUSED) from None
    return {**manifest, "key": key, "path": path, "places": ["here"]}


def _wrong(wanted: Mapping[str, Any], found: Mapping[str, File]) -> str:
    """Return what is wrong with the files, by their sizes; the server compares the hashes."""
    for name, each in wanted.items():
        if name not in found:
            return f"{name} is missing"
        if found[name].size != each["size"]:
            return f"{name} has {found[name].size} of {each['size']} bytes"
    return ""


def send(target: Target, backup: Mapping[str, Any]) -> None:
    """Send a backup that is on this machine to the server; do nothing for others."""
    if "path" not in backup:
        return
    console.step(f"sending {size(backups.weight(backup))} to {target.name}")
    script = f"python3 /opt/data receive {backup['name']}"
    if not target.orchestrator.feed(contract.BACKUP, script, partial(write, backup)):
        hint = f"inv status --env={target.name}"
        raise TaskError("the service of backups is not reached", hint)


def write(backup: Mapping[str, Any], output: BinaryIO) -> None:
    """Write a backup's files as a tar, the manifest first."""
    with files(backup["path"]) as found, tarfile.open(fileobj=output, mode="w|") as archive:
        for name in (MANIFEST, *backup["files"]):
            member = tarfile.TarInfo(name)
            member.size = found[name].size
            with found[name].open() as file:
                archive.addfile(member, file)
