#!/usr/bin/env python
"""Draws the rooms of tasks/ and their imports as the picture in architecture.md."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/architecture.md"
BEGIN, END = "<!-- rooms -->\n", "<!-- /rooms -->"


def floors() -> list[list[str]]:
    """The floors from the roof to the ground, as import-linter holds them."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    layers = config["tool"]["importlinter"]["contracts"][0]["layers"]
    return [layer.split(" | ") for layer in layers]


def room(module: str, rooms: list[str]) -> str:
    """The room that a module is in; empty for one that is in none."""
    return next((each for each in rooms if module == each or module.startswith(f"{each}.")), "")


def imports(rooms: list[str]) -> set[tuple[str, str]]:
    """Which room imports from which other one when it runs."""
    sys.path.insert(0, str(ROOT))
    graph = grimp.build_graph("tasks", exclude_type_checking_imports=True, cache_dir=None)
    found = set()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            found.add((room(module, rooms), room(imported, rooms)))
    return {(one, other) for one, other in found if one and other and one != other}


def picture() -> str:
    """The rooms as a Mermaid flowchart, a subgraph for each floor; what is on the ground, and what
    only verbs import, is drawn without arrows."""
    levels = floors()
    rooms = [each for level in levels for each in level]
    verbs, ground = levels[0], {each for level in levels[-4:] for each in level}
    lines = ["```mermaid", "flowchart TD"]
    for number, level in enumerate(levels):
        lines.append(f"  subgraph floor{number}[ ]\n    direction LR")
        lines += [f"    {name(each)}[{each.rpartition('.')[2]}]" for each in level]
        lines.append("  end")
    edges = imports(rooms)
    lines += [
        f"  {name(one)} --> {name(other)}"
        for one, other in sorted(edges)
        if one not in verbs and other not in ground and one not in ground
    ]
    lines += [f"  floor{number} ~~~ floor{number + 1}" for number in range(len(levels) - 1)]
    return "\n".join([*lines, "```\n"])


def name(module: str) -> str:
    """A module's name as Mermaid takes it."""
    return module.removeprefix("tasks.").replace(".", "-")


def drawn(text: str) -> str:
    """The page with the picture as it should be."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}{picture()}{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text("utf-8")), "utf-8")
