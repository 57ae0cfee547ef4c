"""The project's settings: invoke.yaml, typed, checked whole when read."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import REFUSED, Failed

if TYPE_CHECKING:
    from invoke import Context

ROOT = Path(__file__).resolve().parents[2]
FILE = "invoke.yaml"
# Top-level keys that are Invoke's own.
INVOKE = {"run", "runners", "sudo", "tasks", "timeouts"}

Port = Annotated[int, Field(ge=1, le=65535)]
# HOST[:PORT]/PATH. A host is told from a path by a dot, a port, or being localhost.
IMAGE = (
    r"^((localhost|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+)(:[0-9]+)?|[A-Za-z0-9-]+:[0-9]+)"
    r"(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)+$"
)
Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
# A name that ends in /* stands for as many environments as are wanted: review/* for review/NAME.
MANY = "/*"
Place = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*(/\*)?$", max_length=40)]
SITE = re.compile(r"[a-z0-9]+(-+[a-z0-9]+)*")
HOST = r"^([A-Za-z_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?$"
Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
Seconds = Annotated[int, Field(ge=1, le=86400)]


class Section(BaseModel):
    """A part of invoke.yaml: no key is optional, none unknown, none of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Project(Section):
    """Names and places of the project."""

    name: Name
    package: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$")]
    source: Annotated[str, Field(pattern=r"^https?://\S+$")]


class Dev(Section):
    """How the app runs on this machine."""

    engine: Literal["auto", "docker", "host"]
    port: Port
    debugport: Port
    timeout: Annotated[int, Field(ge=1)]


class Test(Section):
    """What the tests must reach."""

    __test__ = False
    floor: Annotated[int, Field(ge=0, le=100)]


class Registry(Section):
    """Where the images are kept."""

    image: Annotated[str, Field(pattern=IMAGE)]
    main: Annotated[str, Field(min_length=1)]
    insecure: bool
    ca: str
    cache: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")], list[str]]


class Audit(Section):
    """What inv audit takes for good."""

    database: Annotated[str, Field(pattern=r"^https?://\S+$")]
    licences: list[str]
    accepted: dict[str, Annotated[str, Field(min_length=1)]]


class Deploy(Section):
    """How the app is put on servers, whatever the environment."""

    path: Annotated[str, Field(pattern=r"^[A-Za-z0-9_./-]+$")]
    timeout: Seconds
    soak: Annotated[int, Field(ge=0, le=3600)]
    keep: Annotated[int, Field(ge=2, le=1000)]
    secrets: list[Variable]


class Environment(Section):
    """A place that the app is deployed to."""

    url: Annotated[str, Field(pattern=r"^https?://\S+$")]
    hosts: Annotated[list[Annotated[str, Field(pattern=HOST)]], Field(min_length=1)]
    values: dict[Variable, str | int | list[int]]


class Settings(Section):
    """Everything that invoke.yaml says of the project."""

    project: Project
    dev: Dev
    test: Test
    audit: Audit
    registry: Registry
    deploy: Deploy
    environments: dict[Place, Environment]

    def environment(self, name: str) -> Environment:
        """The environment of a name. Raises Failed, with the nearest name, for an unknown one."""
        kind, _, site = name.partition("/")
        if name in self.environments and not name.endswith(MANY):
            return self.environments[name]
        if SITE.fullmatch(site) and kind + MANY in self.environments:
            return self.environments[kind + MANY]
        near = difflib.get_close_matches(name, self.environments, n=1, cutoff=0.5)
        right = (
            f"did you mean --env={near[0]}?" if near else f"known: {', '.join(self.environments)}"
        )
        what = f"unknown environment {name!r}" if name else "which environment?"
        raise Failed(what, f"{right} ({FILE} names them)", REFUSED)


def read(ctx: Context, missing_ok: bool = False) -> Settings:
    """The settings of this run: invoke.yaml under Invoke's own overrides (environment, -f file).

    Args:
        missing_ok: go on without a file that -f or INVOKE_RUNTIME_CONFIG names, as Invoke does.
    Raises Failed, with every problem a line, when a key is unknown or missing or a value is wrong.
    """
    files = [Path(path) for path in (_runtime_file(ctx), ROOT / FILE) if path]
    if not missing_ok and not files[0].is_file():
        # Else what was meant for a lab that is gone would be done to the real thing.
        hint = "inv lab.up, if it was a lab's; else correct -f, or unset INVOKE_RUNTIME_CONFIG"
        raise Failed(f"{files[0]} is not there", hint, REFUSED)
    nodes = {path: yaml.compose(path.read_text("utf-8")) for path in files if path.is_file()}
    tops = {key for node in nodes.values() for key in _keys(node)} | set(Settings.model_fields)
    values = {key: _plain(ctx.config[key]) for key in tops - INVOKE if key in ctx.config}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        problems = [_problem(each, nodes) for each in error.errors()]
        raise Failed("\ninv: ".join(problems), code=REFUSED) from None


def _runtime_file(ctx: Context) -> str | None:
    return getattr(ctx.config, "_runtime_path", None)


def _plain(value: Any) -> Any:
    """Invoke's DataProxy as plain dictionaries."""
    return {key: _plain(value[key]) for key in value} if hasattr(value, "keys") else value


def _pairs(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    return node.value if isinstance(node, yaml.MappingNode) else []


def _keys(node: yaml.Node | None) -> Iterator[str]:
    return (key.value for key, _ in _pairs(node))


def _problem(error: Any, nodes: dict[Path, Any]) -> str:
    """One problem as "file:line: key: what is wrong - what would be right"."""
    path = [str(part) for part in error["loc"]]
    key, where = ".".join(path), _where(path, nodes)
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(path[-1], _known(path[:-1]), n=1, cutoff=0.5)
        right = f'did you mean "{near[0]}"?' if near else f"known: {', '.join(_known(path[:-1]))}"
        return f"{where}: {key}: unknown key - {right}"
    if error["type"] == "missing":
        return f"{where}: {key}: missing - add it; invoke.yaml's comments say what it is"
    if error["type"] == "literal_error":
        right = error["ctx"]["expected"]
        return f"{where}: {key}: unknown name {error['input']!r} - use {right}"
    message = error["msg"].removeprefix("Input ")
    return f"{where}: {key}: {message} - it is {error['input']!r}"


def _known(path: list[str]) -> list[str]:
    """The keys that may stand under a path of keys."""
    kind: Any = Settings
    for key in path:
        if get_origin(kind) is dict:
            kind = get_args(kind)[1]
        elif isinstance(kind, type) and issubclass(kind, BaseModel) and key in kind.model_fields:
            kind = kind.model_fields[key].annotation
        else:
            return []
    return list(getattr(kind, "model_fields", {}))


def _where(path: list[str], nodes: dict[Path, Any]) -> str:
    """Where a key stands, or would: an environment variable, or a file and its line."""
    variable = "INVOKE_" + "_".join(path).upper()
    if variable in os.environ:
        return variable
    best, found = f"{FILE}:1", 0
    for file, node in nodes.items():
        depth, line = _follow(path, node)
        if depth > found:
            best, found = f"{os.path.relpath(file)}:{line}", depth
    return best


def _follow(path: list[str], node: yaml.Node) -> tuple[int, int]:
    """How many keys of the path a document has, and the line of the last of them."""
    line = 1
    for depth, wanted in enumerate(path):
        pair = next((pair for pair in _pairs(node) if pair[0].value == wanted), None)
        if pair is None:
            return depth, line
        line, node = pair[0].start_mark.line + 1, pair[1]
    return len(path), line
