"""Finds every problem of invoke.yaml, with its file, line and key."""

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
import yaml

# The keys on the way to a value; and what is wrong with it.
Keys = tuple[str, ...]
Problem = tuple[Keys, str]


def located(found: Iterable[Problem], files: Sequence[Path]) -> list[str]:
    """Return each problem as "file:line: key: what is wrong - what to do".

    An earlier file overrides a later one.
    """
    nodes = {file: yaml.compose(file.read_text("utf-8")) for file in files}
    return [f"{_location(path, nodes)}: {'.'.join(path)}: {problem}" for path, problem in found]


def problems(value: Any, kind: Any, path: Keys = ()) -> Iterator[Problem]:
    """Yield the path of keys to each wrong value, and what is wrong with it."""
    if isinstance(value, Mapping) and hasattr(kind, "__struct_fields__"):
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        required = (name for name, field in fields.items() if field.required)
        for name in (name for name in required if name not in value):
            yield (*path, name), "missing - add it; invoke.yaml's comments say what it is"
        for key in value:
            if key in fields:
                yield from problems(value[key], fields[key].type, (*path, key))
            else:
                yield (*path, str(key)), f"unknown key - {_suggestion(str(key), list(fields))}"
    elif isinstance(value, Mapping) and get_origin(kind) is dict:
        for key, item in value.items():
            yield from problems(key, get_args(kind)[0], (*path, str(key)))
            yield from problems(item, get_args(kind)[1], (*path, str(key)))
    elif problem := _problem(value, kind):
        yield path, problem


def _suggestion(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known)}"


def _problem(value: Any, kind: Any) -> str:
    """Return what is wrong with one value; empty if nothing is."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        if get_origin(kind) is Literal and isinstance(value, str):
            return f"unknown value {value!r} - known: {', '.join(get_args(kind))}"
        what = str(error).partition(" - at `")[0]
        if form := _form(kind, what):
            return f"expected {form} - it is {value!r}"
        return f"{what[0].lower()}{what[1:]} - it is {value!r}"
    return ""


def _form(kind: Any, what: str) -> str:
    """Return in words the pattern that a value does not match; empty if that is not the problem."""
    parts = [part for each in (kind, *get_args(kind)) for part in getattr(each, "__metadata__", ())]
    inner = [_form(each, what) for each in get_args(kind) if get_args(each)]
    texts = [
        part.description for part in parts if getattr(part, "pattern", None) and "regex" in what
    ]
    return next(filter(None, [*texts, *inner]), "")


def _location(path: Keys, nodes: Mapping[Path, yaml.Node | None]) -> str:
    """Return where a key is, or should be: an environment variable, or a file and its line."""
    variable = "INVOKE_" + "_".join(path).upper()
    if variable in os.environ:
        return variable
    places = [(*_follow(path, node), os.path.relpath(file)) for file, node in nodes.items()]
    depth, line, file = max(places, key=lambda place: place[0], default=(0, 1, ""))
    return f"{file}:{line}" if depth else "invoke.yaml:1"


def _follow(path: Keys, node: yaml.Node | None) -> tuple[int, int]:
    """Return how many keys of the path a document has, and the line of the last of them."""
    line = 1
    for depth, wanted in enumerate(path):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        pair = next((pair for pair in pairs if pair[0].value == wanted), None)
        if pair is None:
            return depth, line
        line, node = pair[0].start_mark.line + 1, pair[1]
    return len(path), line
