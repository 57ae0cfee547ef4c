"""How keys of invoke.yaml changed, by the version that changed them; an upgrade applies it.

A key has dots: `deploy.soak`. One that is renamed keeps its value and its comment; one without a
new name is removed, with its comment and all that is below it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

# Of each version, the keys and the last part of their new names; empty for one that is removed.
CHANGES: dict[str, dict[str, str]] = {}

LINE = re.compile(r"( *)([\w./*-]+):(?: |$)")


def upgraded(text: str, changes: Mapping[str, str]) -> str:
    """Return an invoke.yaml with the keys as they are called now; all else stays as it is."""
    lines = text.splitlines(keepends=True)
    for key, name in changes.items():
        section, _, last = key.rpartition(".")
        if (at := _find(lines, key)) is not None:
            _replace(lines, at, last, name)
        elif (at := _find(lines, section)) is not None:
            lines[at] = _within(lines[at], last, name)
    return "".join(lines)


def edited(text: str, values: Mapping[str, str | None]) -> str:
    """Return an invoke.yaml with other values of its keys; one without a value is removed."""
    lines = text.splitlines(keepends=True)
    for key, value in values.items():
        if (at := _find(lines, key)) is None:
            raise KeyError(key)
        if value is None:
            _replace(lines, at, key.rpartition(".")[2], "")
        else:
            start = lines[at].partition(":")[0]
            lines[at] = f"{start}: {value}\n"
    return "".join(lines)


def _find(lines: list[str], key: str) -> int | None:
    return next((number for number, path in enumerate(_paths(lines)) if path == key), None)


def _paths(lines: list[str]) -> Iterator[str]:
    """Return the key that each line begins; empty for comments and what continues a value."""
    above: list[tuple[int, str]] = []
    for line in lines:
        if found := LINE.match(line):
            indent = len(found[1])
            above = [each for each in above if each[0] < indent] + [(indent, found[2])]
        yield ".".join(name for _, name in above) if found else ""


def _replace(lines: list[str], at: int, last: str, name: str) -> None:
    if name:
        lines[at] = lines[at].replace(f"{last}:", f"{name}:", 1)
        return
    margin = re.match(" *", lines[at])[0]  # type: ignore[index]
    first, end = at, at + 1
    while first and lines[first - 1].startswith(f"{margin}#"):
        first -= 1
    while end < len(lines) and lines[end].startswith(f"{margin} "):
        end += 1
    del lines[first:end]


def _within(line: str, last: str, name: str) -> str:
    """Return the line of a section that is written in braces."""
    if name:
        return re.sub(rf"([{{ ]){re.escape(last)}:", rf"\g<1>{name}:", line, count=1)
    return re.sub(rf"(?<=[{{ ]){re.escape(last)}: *[^,{{}}\[\]]*(, *)?", "", line, count=1)
