"""The history of an environment: its records, each a folder on the first server."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from typing import Any

from ..errors import ExitCode, RemoteCommandError, TaskError, last_line
from ..orchestrators.stack import Stack, load
from ..ssh.host import Host
from .records import DAMAGED, Record

# First the place, then the folders, then the records; a folder that cannot be read is no empty one.
READ = r"""
set -eu; case "$1" in /*) ;; *) set -- "$PWD/$1" ;; esac
echo "$(id -un)@$(hostname):$1/releases"
if [ -e "$1/releases" ]; then
    cd "$1/releases"; ls; printf '\f'; tail -v -n +1 -- */release.json 2>/dev/null || true
fi
"""
# How tail begins each file.
HEADER = re.compile(r"^==> (\d+)/release\.json <==$", re.MULTILINE)
SHOW = 'cat "$1/releases/$2/$3"'
# The names of all versions of secrets and configs that recorded stacks use.
NAMES = 'cat "$1"/releases/*/stack.json 2>/dev/null | grep -o \'"name": "[^"]*"\' | sort -u || true'
# Atomic: a file is written beside the old one, then renamed.
WRITE = """
set -eu; umask 077; mkdir -p "$1/releases/$2"; cd "$1/releases/$2"
cat >"$3.part"; mv "$3.part" "$3"
"""
# Writes a file, and removes it, in the folder or in the nearest one that exists. What is no folder
# cannot be read, either.
TRY = """
set -eu; umask 077; path="$1/releases"
while [ ! -e "$path" ]; do
    case "$path" in ?*/*) path="${path%/*}";; /*) path=/;; *) path=.;; esac
done
[ -d "$path" ] || exit 0
file="$path/.preflight.$$"; trap 'rm -f "$file"' EXIT; echo writable >"$file"
"""
DELETE = 'cd "$1/releases" && shift && rm -rf -- "$@"'

# A record's files beside release.json: the stack, and the specs that the orchestrator made of it.
STACK, APPLIED = "stack.json", "applied.json"


class History:
    """Reads and writes the history of one environment, in its folder on a server.

    Args:
        place: the server and the folder that the history was read from; empty before that.
    """

    def __init__(self, host: Host, path: str) -> None:
        self._host, self._path = host, path
        self.place = ""

    def read(self) -> list[Record]:
        """Return all records, the newest first; one that cannot be read is marked as damaged.

        Raises TaskError when the folder exists and cannot be read.
        """
        try:
            shown = self._host.run(READ, self._path, changes=False)
        except RemoteCommandError as error:
            hint = "log in as the user who deployed before, or make it readable for this one"
            what = f"cannot read the history of {self._host.name}: {last_line(error.output)}"
            raise TaskError(what, hint, ExitCode.REFUSED) from None
        folders, _, texts = shown.partition("\f")
        self.place, _, folders = folders.partition("\n")
        parts = HEADER.split(texts)
        found = dict(zip(parts[1::2], parts[2::2], strict=True))
        numbers = sorted((int(name) for name in folders.split() if name.isdigit()), reverse=True)
        return [self._record(number, found.get(str(number), "")) for number in numbers]

    def _record(self, number: int, text: str) -> Record:
        known = {each.name for each in fields(Record)}
        with suppress(ValueError, TypeError, AttributeError):
            given = json.loads(text).items()
            return Record(**{key: value for key, value in given if key in known})
        why = f"{self.place}/{number}/release.json is damaged"
        return Record(number, "", "", "?", state=DAMAGED, why=why)

    def problems(self) -> list[str]:
        """Return why nothing can be written."""
        try:
            self._host.run(TRY, self._path, changes=False)
        except RemoteCommandError as error:
            reason = last_line(error.output).rpartition(": ")[2]
            hint = "let its user write there and free some space, or change deploy.path"
            return [f"{self._host.name}: cannot write in {self._path} ({reason}) - {hint}"]
        return []

    def begin(self, record: Record, wanted: Stack) -> Record:
        """Record that a deploy begins, with its stack."""
        begun = replace(record, began=datetime.now(UTC).isoformat(timespec="seconds"))
        self._write(record, STACK, wanted.text())
        self.write(begun)
        return begun

    def write(self, record: Record) -> None:
        """Write a record."""
        self._write(record, "release.json", json.dumps(asdict(record)))

    def write_applied(self, record: Record, specs: Mapping[str, Any]) -> None:
        """Record the specs that the orchestrator made of a record's stack."""
        self._write(record, APPLIED, json.dumps(specs, indent=1))

    def _write(self, record: Record, file: str, text: str) -> None:
        self._host.run(WRITE, self._path, str(record.number), file, text=text)

    def stack(self, record: Record, name: str) -> Stack:
        """Return the stack of a record. Raises TaskError when it is missing or damaged."""
        return load(name, record.image, json.dumps(self._load(record, STACK)))

    def applied(self, record: Record) -> dict[str, Any]:
        """Return the specs of a record's services. Raises TaskError like stack."""
        return self._load(record, APPLIED)

    def _load(self, record: Record, file: str) -> dict[str, Any]:
        try:
            text = self._host.run(SHOW, self._path, str(record.number), file, changes=False)
            return dict(json.loads(text))
        except (RemoteCommandError, ValueError, TypeError) as error:
            state = "missing" if isinstance(error, RemoteCommandError) else "damaged"
            what = f"{self.place or self._host.name}/{record.number}/{file} is {state}"
            raise TaskError(what, "inv history shows other releases", ExitCode.REFUSED) from None

    def versions(self) -> set[str]:
        """Return the names of secrets and configs that recorded stacks use, and some more."""
        lines = self._host.run(NAMES, self._path, changes=False).splitlines()
        return {line.split('"')[3] for line in lines}

    def forget(self, old: Sequence[Record]) -> None:
        """Delete records."""
        if old:
            self._host.run(DELETE, self._path, *(str(record.number) for record in old))
