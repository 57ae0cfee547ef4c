"""What is wrong with invoke.yaml: every problem, with its file, line and key."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
import yaml

# The keys on the way to a value.
Keys = tuple[str, ...]


def lines(values: Mapping[str, Any], kind: type, files: Sequence[Path]) -> list[str]:
    """Each problem as "file:line: key: what is wrong - what would be right".

    Args:
        values: what was read, whole.
        kind: what it should be.
        files: where it was read, the one that counts more first.
    """
    nodes = {file: yaml.compose(file.read_text("utf-8")) for file in files}
    return [
        f"{_where(path, nodes)}: {'.'.join(path)}: {what}"
        for path, what in _problems(values, kind, ())
    ]


def _problems(value: Any, kind: Any, path: Keys) -> Iterator[tuple[Keys, str]]:
    """The path of keys to each value that is wrong, and what is."""
    if isinstance(value, Mapping) and hasattr(kind, "__struct_fields__"):
        kinds = {field.name: field.type for field in msgspec.structs.fields(kind)}
        for key in [key for key in kinds if key not in value]:
            yield (*path, key), "missing - add it; invoke.yaml's comments say what it is"
        for key in value:
            if key in kinds:
                yield from _problems(value[key], kinds[key], (*path, key))
            else:
                yield (*path, str(key)), f"unknown key - {_right(str(key), list(kinds))}"
    elif isinstance(value, Mapping) and get_origin(kind) is dict:
        for key, each in value.items():
            yield from _problems(key, get_args(kind)[0], (*path, str(key)))
            yield from _problems(each, get_args(kind)[1], (*path, str(key)))
    elif what := _wrong(value, kind):
        yield path, what


def _right(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known)}"


def _wrong(value: Any, kind: Any) -> str:
    """What is wrong with one value; empty when nothing is."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        if get_origin(kind) is Literal and isinstance(value, str):
            *others, last = map(repr, get_args(kind))
            return f"unknown name {value!r} - use {', '.join(others)} or {last}"
        what = str(error).partition(" - at `")[0]
        return f"{what[0].lower()}{what[1:]} - it is {value!r}"
    return ""


def _where(path: Keys, nodes: Mapping[Path, yaml.Node | None]) -> str:
    """Where a key stands, or would: an environment variable, or a file and its line."""
    variable = "INVOKE_" + "_".join(path).upper()
    if variable in os.environ:
        return variable
    best, found = "invoke.yaml:1", 0
    for file, node in nodes.items():
        depth, line = _follow(path, node)
        if depth > found:
            best, found = f"{os.path.relpath(file)}:{line}", depth
    return best


def _follow(path: Keys, node: yaml.Node | None) -> tuple[int, int]:
    """How many keys of the path a document has, and the line of the last of them."""
    line = 1
    for depth, wanted in enumerate(path):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        pair = next((pair for pair in pairs if pair[0].value == wanted), None)
        if pair is None:
            return depth, line
        line, node = pair[0].start_mark.line + 1, pair[1]
    return len(path), line
