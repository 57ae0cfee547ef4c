"""Adopts a Django project: shows what is in its repository and what will be written, then writes.

Copier runs this in the project's folder. It overwrites nothing without being asked to, and touches
no environment such as .venv. `found` has answers that are known already, `replace` names files of
the project that the pipeline's may replace, and `agreed` writes without a question.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import copier
import write
from look import Found, look, unknown

# What a project may keep: it goes on without the pipeline's, or inv doctor says what to add.
KEPT = (".dockerignore", ".gitlab-ci.yml", ".github/workflows/ci.yml", "Dockerfile")
JOBS = {
    ".gitlab-ci.yml": "check: {script: ./inv lint test}",
    ".github/workflows/ci.yml": "- run: ./inv lint test",
}
# Folders that no package of the project can have; reports/ is where the tasks write.
RESERVED = ("compose", "lab", "reports", "tasks")
ROOT = Path()


def main(address: str, template: str, text: str) -> None:
    """Adopt the project in this folder."""
    answers: dict[str, Any] = json.loads(text)
    found = complete(look(ROOT, answers["found"]))
    answers["ci"] = answers["ci"] if answers["ci"] != "auto" else found.ci or "none"
    own = write.files(ROOT, answers["name"], found)
    with tempfile.TemporaryDirectory() as folder:
        files = rendered(Path(folder), template, answers)
        taken = [name for name in files if (ROOT / name).is_file() and not same(name, files[name])]
        require_free(taken, answers)
        show(found, own, files, taken)
        keep = [name for name in taken if name in KEPT and not may_replace(name, answers)]
        if not (answers["agreed"] or asked("Write these files?")):
            sys.exit("nothing was written")
        put(address, files, keep, answers)
    for name, content in own.items():
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(content, "utf-8")
    finish(answers, keep)


def complete(found: Found) -> Found:
    """Return the findings with what only the team knows; asks, or ends with what is missing."""
    for name, text in unknown(found).items():
        if not sys.stdin.isatty():
            sys.exit(f"{name} is not clear: {text} - give it: --data 'found={{\"{name}\": ...}}'")
        answer = input(f"{text}: ")
        return complete(look(ROOT, {name: answer.split(",") if name == "packages" else answer}))
    return found


def rendered(folder: Path, template: str, answers: dict[str, Any]) -> dict[str, Path]:
    """Return the pipeline's files, by their names in the project."""
    data = {"app": "own", "adopted": True, "name": answers["name"], "ci": answers["ci"]}
    copier.run_copy(
        template, folder, data=data, defaults=True, quiet=True, unsafe=True, skip_tasks=True,
        vcs_ref="HEAD",
    )  # fmt: skip
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in files}


def same(name: str, file: Path) -> bool:
    """Return whether the project has a file as the pipeline has it."""
    return (ROOT / name).read_bytes() == file.read_bytes()


def require_free(taken: list[str], answers: dict[str, Any]) -> None:
    """End if files of the project are where the pipeline needs its own, unless they may go."""
    adopted = (ROOT / "tasks/lib/project/version.py").exists()
    for name in RESERVED:
        if any((ROOT / name).glob("*.py")) and not (adopted and name == "tasks"):
            sys.exit(f"{name}/ is yours, and the pipeline's folder has this name - rename it")
    needed = [name for name in taken if name not in KEPT and name not in answers["replace"]]
    if needed and not sys.stdin.isatty():
        names = json.dumps(needed)
        what = f"the pipeline needs its own {', '.join(needed)}"
        sys.exit(f"{what} - move yours, or --data 'replace={names}'")
    for name in needed:
        if not asked(f"{name} is yours, and the pipeline needs its own. Replace it?"):
            sys.exit(f"nothing was written - move {name} and run this again")


def may_replace(name: str, answers: dict[str, Any]) -> bool:
    """Return whether a file that the project may keep is replaced."""
    if answers["agreed"] or name in answers["replace"]:
        return name in answers["replace"]
    return asked(f"{name} is yours. Replace it by the pipeline's? git keeps yours")


def asked(question: str) -> bool:
    """Return whether a question is answered with yes; without a terminal it is not."""
    return sys.stdin.isatty() and input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def show(found: Found, own: dict[str, str], files: dict[str, Path], taken: list[str]) -> None:
    """Print what was found and what is to be written."""
    print("found:")
    for name, value in write.tables(ROOT, found):
        print(f"  {name:15} {value}")
    print("to write, yours from then on:")
    for name in own:
        print(f"  {name}" + (" (lines at its end)" if (ROOT / name).exists() else ""))
    tops = sorted({name.split("/")[0] for name in files})
    print(f"to write, the pipeline's: {len(files)} files in {', '.join(tops)}")
    if taken:
        print(f"here already: {', '.join(taken)}")


def put(address: str, files: dict[str, Path], keep: list[str], answers: dict[str, Any]) -> None:
    """Write the pipeline's files, and where they are from."""
    for name, file in files.items():
        if name not in keep:
            (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, ROOT / name)
    record = ROOT / ".copier-answers.yml"
    text = re.sub(r"^_src_path: .*", f"_src_path: {address}", record.read_text("utf-8"), flags=re.M)
    record.write_text(text.replace("keep: []", f"keep: {json.dumps(keep)}"), "utf-8")


def finish(answers: dict[str, Any], keep: list[str]) -> None:
    """Lock the requirements, and say what remains."""
    sys.stdout.flush()
    if answers["lock"]:
        subprocess.run(["./inv", "requirements"], check=False)
    subprocess.run(["./inv", "doctor"], check=False)
    for name in (name for name in keep if name in JOBS):
        print(f"{name} is still yours; a job of the pipeline is one task, such as {JOBS[name]}")
    print("next: what doctor says, then ./inv test, ./inv dev, and a commit")


if __name__ == "__main__":
    main(*sys.argv[1:])
