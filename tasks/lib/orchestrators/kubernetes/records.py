"""The records of an environment in its namespace: a Secret for each, with its files."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from typing import Any

from ...errors import ExitCode, TaskError
from ...kubernetes.client import Cluster
from ...kubernetes.requests import MISSING, ClusterError, unless
from ..status import RECORD
from . import naming

KIND = "release"
# How many lines of the audit log are kept: a Secret has at most 1 MB.
KEPT = 500
NAME = re.compile(r'"name": "([^"]*)"')


class ClusterStore:
    """Keeps records in a namespace; orchestrators.status.Store says what it promises."""

    def __init__(self, cluster: Cluster, stack: str) -> None:
        self._cluster, self._stack, self.name = cluster, stack, cluster.name
        self._log = f"{stack}-audit"

    def _all(self) -> dict[int, dict[str, str]]:
        """Return the files of all records."""
        chosen = {**naming.labels(self._stack), naming.KIND: KIND}
        try:
            found = self._cluster.list("Secret", chosen)
        except ClusterError as error:
            raise TaskError(f"cannot read the history: {error}", code=ExitCode.REFUSED) from None
        return {_number(each): _files(each) for each in found}

    def read(self) -> tuple[str, dict[int, str]]:
        place = f"namespace {self._cluster.namespace}"
        return place, {number: files.get(RECORD, "") for number, files in self._all().items()}

    def show(self, number: int, file: str) -> str | None:
        found = self._cluster.get("Secret", _name(number))
        return _files(found).get(file) if found else None

    def write(self, number: int, file: str, text: str) -> None:
        """Write a file of a record; only who holds the lock writes."""
        encoded = {file: b64encode(text.encode()).decode()}
        if found := self._cluster.get("Secret", _name(number)):
            data = {**(found.get("data") or {}), **encoded}
            if self._cluster.replace({**found, "data": data}) is None:
                raise TaskError(f"release {number} was changed by another task")
            return
        meta = naming.metadata(_name(number), self._stack, labels={naming.KIND: KIND})
        base = {"apiVersion": "v1", "kind": "Secret", "metadata": meta}
        self._cluster.create({**base, "type": "deploy/release", "data": encoded})

    def named(self) -> set[str]:
        texts = (text for files in self._all().values() for text in files.values())
        return {name for text in texts for name in NAME.findall(text)}

    def delete(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._cluster.delete("Secret", _name(number))

    def log(self, line: str) -> None:
        """Append a line; nothing is logged once the namespace is removed."""
        found = self._cluster.get("Secret", self._log)
        text = "\n".join([*_lines(found, KEPT - 1), line])
        data = {"lines": b64encode(text.encode()).decode()}
        if not found:
            # Without the stack's labels: it stays when only the stack is removed.
            base = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": self._log}}
            made = {**base, "type": naming.AUDIT, "data": data}
            unless(MISSING, lambda: self._cluster.create(made))
        elif self._cluster.replace({**found, "data": data}) is None:
            raise TaskError("the audit log was changed by another task")

    def logged(self, count: int) -> list[str]:
        return _lines(self._cluster.get("Secret", self._log), count)

    def problems(self) -> list[str]:
        return []

    def set_up(self) -> Iterator[str]:
        yield from ()

    def remove(self) -> None:
        self.delete([*self._all()])


def _name(number: int) -> str:
    return f"{KIND}-{number}"


def _number(found: dict[str, Any]) -> int:
    return int(found["metadata"]["name"].rpartition("-")[2])


def _lines(found: dict[str, Any] | None, count: int) -> list[str]:
    return _files(found).get("lines", "").splitlines()[-count:] if found else []


def _files(found: dict[str, Any]) -> dict[str, str]:
    data = (found.get("data") or {}).items()
    return {file: b64decode(each).decode(errors="replace") for file, each in data}
