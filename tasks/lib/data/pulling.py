"""A scrubbed copy of an environment's database for this machine; nothing goes the other way."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .. import console
from ..environments.connection import Target
from ..environments.lock import Lock
from ..environments.storage import size
from ..errors import ExitCode, TaskError
from ..orchestrators.stack import Stack
from ..project import contract
from ..project.settings import ROOT
from . import tools

# Bytes that are fetched at a time.
PART = 8 << 20


def scrub(target: Target) -> str:
    """Return the SQL that removes what must not leave an environment.

    Raises TaskError if a protected one has none, or it cannot be read.
    """
    name = target.settings.backup.scrub
    if not name and target.environment.protected:
        hint = "set backup.scrub in invoke.yaml to a file with SQL"
        raise TaskError(f"{target.name} is protected: no copy as it is", hint, ExitCode.REFUSED)
    if not name:
        console.warn("the copy is not scrubbed: backup.scrub in invoke.yaml names no file")
        return ""
    try:
        return (ROOT / name).read_text("utf-8")
    except OSError as error:
        raise TaskError(f"backup.scrub: {name}: {error.strerror}", code=ExitCode.REFUSED) from None


def pull(target: Target, stack: Stack, lock: Lock, file: Path, sql: str) -> None:
    """Copy and scrub on the server, and write the copy to a file here. Raises TaskError."""
    import pyrage  # type: ignore[import-untyped]

    identity = pyrage.x25519.Identity.generate()
    console.step(f"copying {target.name}'s database beside it")
    words = ("copy", str(identity.to_public()), *([sql] if sql else []))
    made = tools.run(target, stack, lock, *words)
    try:
        console.step(f"fetching {size(made['size'])}")
        encrypted = file.with_suffix(".age")
        with encrypted.open("xb") as output:
            digest = fetch(target, made["file"], made["size"], output)
        if digest != made["sha256"]:
            raise TaskError("the copy was damaged on its way", f"inv db.pull --env={target.name}")
        with encrypted.open("rb") as source, file.open("xb") as plain:
            pyrage.decrypt_io(source, plain, [identity])
    finally:
        tools.ask(target, "forget")


def fetch(target: Target, path: str, length: int, output: BinaryIO) -> str:
    """Write a file of the servers to a stream, part by part; return its SHA-256."""
    digest = hashlib.sha256()
    for part in parts(target, path, -(-length // PART)):
        digest.update(part)
        output.write(part)
    return digest.hexdigest()


def parts(target: Target, path: str, count: int) -> Iterator[bytes]:
    """Yield the parts of a file. Raises TaskError if one is not reached."""
    for number in range(count):
        script = f"dd if={path} bs={PART} skip={number} count=1 status=none | base64 --wrap=0"
        shown = target.orchestrator.inside(contract.BACKUP, script)
        if not shown:
            raise TaskError("the copy is not reached", f"inv db.pull --env={target.name}")
        yield base64.b64decode(shown)
