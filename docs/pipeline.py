#!/usr/bin/env python
"""Draws .gitlab-ci.yml as the picture in README.md: python docs/pipeline.py."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
FILE, README = ROOT / ".gitlab-ci.yml", ROOT / "README.md"
BEGIN, END = "<!-- pipeline -->\n", "<!-- /pipeline -->"
# Keys at the top that are no jobs: https://docs.gitlab.com/ci/yaml/#global-keywords
GLOBAL = {"default", "include", "stages", "variables", "workflow"}
INPUT = re.compile(r"\$\[\[ inputs\.(\w+) \]\]")
# What a job's rules speak of, for jobs that are not for everything; and the boxes' colours.
EVENTS = {
    'JOB == "': "schedule",
    "MERGE_REQUEST": "review",
    "DEFAULT_BRANCH": "branch",
    "COMMIT_TAG": "tag",
}
COLOURS = {
    "every": "#e8eef7",
    "review": "#f3e8f7",
    "branch": "#e3f4e4",
    "tag": "#fdf0d5",
    "schedule": "#eee",
}


def read(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two documents of a pipeline file: its inputs, and with their defaults the rest."""
    head, body = yaml.safe_load_all(text)
    inputs = {name: each["default"] for name, each in head["spec"]["inputs"].items()}
    return head, _filled(body, inputs)


def _filled(part: Any, inputs: dict[str, Any]) -> Any:
    """A part of the file with the inputs' values in it."""
    if isinstance(part, dict):
        return {key: _filled(each, inputs) for key, each in part.items()}
    if isinstance(part, list):
        return [_filled(each, inputs) for each in part]
    if not isinstance(part, str):
        return part
    if whole := INPUT.fullmatch(part):
        return inputs[whole[1]]
    return INPUT.sub(lambda found: str(inputs[found[1]]), part)


def jobs(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The jobs by name, each with all that it takes over."""
    return {
        name: _extended(name, body)
        for name in body
        if name not in GLOBAL and not name.startswith(".")
    }


def _extended(name: str, body: dict[str, Any]) -> dict[str, Any]:
    job = dict(body[name])
    parents = job.pop("extends", [])
    made: dict[str, Any] = {}
    for parent in [parents] if isinstance(parents, str) else parents:
        made = _merged(made, _extended(parent, body))
    return _merged(made, job)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two dictionaries as one, as GitLab does it: lists are replaced, dictionaries merged."""
    both = {key: below[key] for key in below if key not in above}
    for key, each in above.items():
        old = below.get(key)
        both[key] = _merged(old, each) if isinstance(old, dict) and isinstance(each, dict) else each
    return both


def event(job: dict[str, Any]) -> str:
    """What a job is for: review, branch (the default one), tag, schedule; every for all pushes."""
    rules = " ".join(rule.get("if", "") for rule in job.get("rules", []))
    return next((kind for sign, kind in EVENTS.items() if sign in rules), "every")


def by_hand(job: dict[str, Any]) -> bool:
    """Whether somebody has to start a job."""
    return "manual" in [job.get("when"), *(rule.get("when") for rule in job.get("rules", []))]


def picture(body: dict[str, Any]) -> str:
    """The pipeline as a Mermaid flowchart: a box for each stage, in it what its jobs run."""
    found = jobs(body)
    lines = ["flowchart LR"]
    for stage in body["stages"]:
        lines.append(f"  subgraph {stage}")
        lines += [f"    {_node(name, job)}" for name, job in found.items() if job["stage"] == stage]
        lines.append("  end")
    lines += [f"  {a} --> {b}" for a, b in zip(body["stages"], body["stages"][1:], strict=False)]
    for name, job in found.items():
        lines += [f"  {_key(need)} -.-> {_key(name)}" for need in job.get("needs", [])]
    for kind, colour in COLOURS.items():
        members = [_key(name) for name, job in found.items() if event(job) == kind]
        lines.append(f"  classDef {kind} fill:{colour},stroke:#888,color:#111")
        lines.append(f"  class {','.join(members)} {kind}")
    return "\n".join(lines)


def _key(name: str) -> str:
    return f"job-{name.replace(':', '-')}"


def _node(name: str, job: dict[str, Any]) -> str:
    words = job["script"].split()
    task = " ".join(word for word in words if "=" not in word).removeprefix("./")
    if by_hand(job):
        return f'{_key(name)}(["{name}<br><small>by hand: {task}</small>"])'
    return f'{_key(name)}["{name}<br><small>{task}</small>"]'


def section() -> str:
    """What stands between the marks of README.md."""
    return f"```mermaid\n{picture(read(FILE.read_text('utf-8'))[1])}\n```\n"


def main() -> None:
    """Draw the picture into README.md."""
    head, rest = README.read_text("utf-8").split(BEGIN)
    README.write_text(f"{head}{BEGIN}{section()}{END}{rest.split(END)[1]}", "utf-8")


if __name__ == "__main__":
    main()
