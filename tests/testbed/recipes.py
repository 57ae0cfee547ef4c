"""Pages of docs/recipes, done to a project that Copier has made."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import msgspec
import yaml

from tasks.lib.project.settings import INVOKE, Settings
from tests.testbed import clones
from tests.testbed.commands import ROOT

PAGES = sorted((ROOT / "docs/recipes").glob("[a-z]*.md"))
# A line that only names a file, and the block after it: a change of that file, or its text.
BLOCK = re.compile(r"^`([\w./-]+)`:\n\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Tasks that need neither servers nor an engine.
HERE = {"doctor", "format", "lint", "manage", "migrations", "requirements", "test", "types"}


def done_to(root: Path, page: str) -> list[str]:
    """Change a project as a page says. Returns the commands of the page that can be run here."""
    text = (ROOT / f"docs/recipes/{page}.md").read_text("utf-8")
    lines = "".join(SHELL.findall(text)).splitlines()
    for line in (line for line in lines if line.startswith(("mkdir ", "git "))):
        subprocess.run(line, shell=True, cwd=root, check=True)
    for name, kind, block in BLOCK.findall(text):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if kind == "diff":
            file.write_text(changed(file.read_text("utf-8"), block), "utf-8")
        else:
            assert not file.exists(), f"{name} is here already"
            file.write_text(block, "utf-8")
    clones.commit(root, page)
    return [line for line in lines if re.match(rf"npm |\./inv ({'|'.join(HERE)})\b", line)]


def changed(text: str, block: str) -> str:
    """Return a text with the hunks of a diff, each of which must fit in one place."""
    for hunk in block.split("@@\n"):
        lines = [each if each != "\n" else " \n" for each in hunk.splitlines(keepends=True)]
        old = "".join(each[1:] for each in lines if each[0] != "+")
        new = "".join(each[1:] for each in lines if each[0] != "-")
        assert text.count(old) == 1, f"{text.count(old)} times in the file: {old}"
        text = text.replace(old, new)
    return text


def settings(root: Path) -> Settings:
    known = yaml.safe_load((root / "invoke.yaml").read_text("utf-8"))
    return msgspec.convert({key: v for key, v in known.items() if key not in INVOKE}, Settings)
