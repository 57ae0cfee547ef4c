"""A scrubbed copy of an environment's database for this machine; nothing goes the other way."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .. import console
from ..environments.connection import Target
from ..environments.lock import Lock
from ..environments.storage import size
from ..errors import ExitCode, TaskError
from ..images import data
from ..orchestrators.stack import Stack
from ..project import contract
from ..project.settings import ROOT
from . import tools

# Bytes that are fetched at a time.
PART = 8 << 20
# What says which version of PostgreSQL writes the copy.
VERSION, MAJOR = "pg_dump --version", re.compile(r"pg_dump \(PostgreSQL\) (\d+)")


def require_loadable(target: Target) -> None:
    """Raise TaskError if the database here is older than the environment's: it takes no copy."""
    found = MAJOR.match(target.orchestrator.inside(contract.BACKUP, VERSION) or "")
    here = data.major(target.settings.services)
    if found and 0 < here < int(found[1]):
        what = f"{target.name} has PostgreSQL {found[1]}, and the app here {here}"
        hint = f"set services.postgres: {found[1]} in invoke.yaml, as the release has it that runs"
        raise TaskError(what, hint, ExitCode.REFUSED)


def rules(target: Target) -> list[str]:
    """Return what a copy is made by: the SQL that scrubs it, and the columns that may leave.

    Raises TaskError if a protected environment lacks one of them, or a file cannot be read.
    """
    backup = target.settings.backup
    named = {"backup.scrub": backup.scrub, "backup.columns": backup.columns}
    lacking = [key for key, name in named.items() if not name]
    if lacking and target.environment.protected:
        hint = f"set {' and '.join(lacking)} in invoke.yaml: docs/data.md"
        raise TaskError(f"{target.name} is protected: no copy as it is", hint, ExitCode.REFUSED)
    if not backup.scrub:
        console.warn("the copy is not scrubbed: backup.scrub in invoke.yaml names no file")
    sql = _text("backup.scrub", backup.scrub)
    if not backup.columns:
        return [sql] if sql else []
    return [sql or "SELECT", json.dumps(_columns(_text("backup.columns", backup.columns)))]


def _text(key: str, name: str) -> str:
    """Return the text of a file that a setting names; empty for none."""
    try:
        return (ROOT / name).read_text("utf-8") if name else ""
    except OSError as error:
        raise TaskError(f"{key}: {name}: {error.strerror}", code=ExitCode.REFUSED) from None


def _columns(text: str) -> dict[str, list[str]]:
    """Return the columns of each table that may leave. Raises TaskError if a file has others."""
    import msgspec

    try:
        return msgspec.yaml.decode(text or "{}", type=dict[str, list[str]])
    except msgspec.MsgspecError as error:
        hint = "a line a table, such as auth_user: [id, username]"
        raise TaskError(f"backup.columns: {error}", hint, ExitCode.REFUSED) from None


def pull(target: Target, stack: Stack, lock: Lock, file: Path, words: list[str]) -> None:
    """Copy and scrub on the server, and write the copy to a file here. Raises TaskError.

    Args:
        words: what the copy is made by; see rules.
    """
    import pyrage  # type: ignore[import-untyped]

    identity = pyrage.x25519.Identity.generate()
    console.step(f"copying {target.name}'s database beside it")
    made = tools.run(target, stack, lock, "copy", str(identity.to_public()), *words)
    if unknown := made.get("unknown"):
        for table, columns in unknown.items():
            console.result(f"{table}: [{', '.join(columns)}]")
        count = sum(map(len, unknown.values()))
        hint = "empty them in backup.scrub, or add what may leave of the lines above"
        what = f"{count} columns have data and are not in backup.columns"
        raise TaskError(what, hint, ExitCode.REFUSED)
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
