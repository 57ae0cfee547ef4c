"""Ends an upgrade: Copier runs this in a project after it has merged the new version's files.

Shows what changed between the versions, renames the keys of invoke.yaml, and runs `inv doctor`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from keys import CHANGES, upgraded

CHANGELOG = Path(__file__).resolve().parents[1] / "CHANGELOG.md"
SETTINGS = Path("invoke.yaml")


def main(old: str, new: str) -> None:
    """Finish the upgrade of the project in this folder."""
    print(f"\nFrom {old} to {new}:\n\n{between(CHANGELOG.read_text('utf-8'), old, new)}")
    before = SETTINGS.read_text("utf-8")
    after = upgraded(before, changes(CHANGES, old, new))
    if after != before:
        SETTINGS.write_text(after, "utf-8")
        print("invoke.yaml: keys renamed as the new version has them; git diff shows it")
    if conflicts := unmerged():
        print(f"conflicts, as git shows them: {', '.join(conflicts)}")
        print("resolve them, run ./inv doctor and ./inv test, and commit")
        return
    subprocess.run(["./inv", "doctor"], check=False)
    print("review it with git diff, run ./inv test, and commit")


def number(version: str) -> tuple[int, ...]:
    """Return a version as numbers, to compare it."""
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def between(changelog: str, old: str, new: str) -> str:
    """Return the sections of the versions after the old one, up to the new one."""
    sections = re.split(r"^(?=## \[)", changelog, flags=re.MULTILINE)[1:]
    shown = [text for text in sections if _is_between(text[4:].partition("]")[0], old, new)]
    return "\n".join(text.strip() for text in shown) or "no version between them is described"


def changes(known: dict[str, dict[str, str]], old: str, new: str) -> dict[str, str]:
    """Return the changes of keys of the versions after the old one, up to the new one."""
    versions = sorted((each for each in known if _is_between(each, old, new)), key=number)
    return {key: name for each in versions for key, name in known[each].items()}


def _is_between(version: str, old: str, new: str) -> bool:
    return bool(number(version)) and number(old) < number(version) <= number(new)


def unmerged() -> list[str]:
    """Return the files with conflicts."""
    words = ["git", "ls-files", "--unmerged", "--format=%(path)"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return sorted({*done.stdout.splitlines()})


if __name__ == "__main__":
    main(*sys.argv[1:])
