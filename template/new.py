"""Writes a new project's own files once: Copier runs this after it has copied the pipeline's.

In this repository the app is called myapp; a project has its own name instead, and the link
shortener only if wanted.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
APP = "myapp"
# The project's own files, beside the app; no upgrade changes them.
OWN = (
    *("manage.py", "invoke.yaml", "pyproject.toml", ".gitignore", ".gitattributes", ".yamllint"),
    *(f"requirements/{name}.in" for name in ("app", "test", "dev", "types")),
    *(f"requirements/{name}.txt" for name in ("app", "test", "dev", "types")),
)
# What a project without the link shortener has no use for; template/app replaces some of it.
LINKS = (
    *("admin.py", "clicks.py", "codes.py", "forms.py", "images.py", "models.py", "targets.py"),
    *("tasks.py", "migrations", "tests/clicks.py"),
    *(
        f"tests/test_{name}.py"
        for name in ("codes", "follow", "images", "migrations", "targets", "tasks")
    ),
)
PARAGRAPH = re.compile(r"\n# The link shortener: (?:.+\n)+")
# Tables of pyproject.toml about tasks/, and other lines about the pipeline's own tests.
TABLES = re.compile(r"\n\[+tool\.importlinter(?:\.contracts)?\]+\n(?:(?!\n\[).)*(?=\n)", re.DOTALL)
TESTS = re.compile(r'^(markers = \[\n(?: .+\n)*\]|"(?:tests|bench)/\*\*" = .*)\n', re.MULTILINE)
WORDS = {
    "Makes long web addresses short and counts who follows them.": "Short links",
    "This link leads nowhere": "There is nothing here",
    "It may have been mistyped, or it is gone. Short links have only letters, digits and hyphens.":
        "The address may have been mistyped, or the page is gone.",
}  # fmt: skip


@dataclass(frozen=True)
class Answers:
    """The kind of app (empty or links), the project's name, and that of its package."""

    app: str
    name: str
    package: str

    @property
    def title(self) -> str:
        """Return the name as people read it."""
        return self.name.replace("-", " ").capitalize()


def main(app: str, name: str, package: str) -> None:
    """Write the files of a project into this folder, and make it a repository."""
    answers = Answers(app, name, package)
    if Path(package).exists():
        sys.exit(f"{package}/ is here already - choose another package, or an empty folder")
    for target, source in files(answers):
        file = Path(target.replace(APP, package))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(changed(target, source.read_text("utf-8"), answers), "utf-8")
        shutil.copymode(source, file)
    inside = ["git", "rev-parse", "--is-inside-work-tree"]
    if subprocess.run(inside, capture_output=True, check=False).returncode:
        subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], check=True)


def files(answers: Answers) -> Iterator[tuple[str, Path]]:
    """Return the files to write as this repository calls them, each with where its text is."""
    found = {name: SOURCE / name for name in OWN}
    found |= _below(SOURCE / APP, APP)
    if answers.app == "empty":
        left = tuple(f"{APP}/{name}" for name in LINKS)
        found = {name: file for name, file in found.items() if not name.startswith(left)}
        found |= _below(SOURCE / "template/app", APP)
    found["README.md"] = SOURCE / "template/README.md"
    return iter(found.items())


def _below(folder: Path, name: str) -> dict[str, Path]:
    source = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {f"{name}/{path.relative_to(folder)}": path for path in source}


def changed(target: str, text: str, answers: Answers) -> str:
    """Return the text of a file with the names of the project."""
    if target == "pyproject.toml":
        text = TESTS.sub("", TABLES.sub("", text))
    if target == "invoke.yaml":
        text = re.sub(rf"(name: |example/|deploy/){APP}\b", rf"\g<1>{answers.name}", text)
        text = re.sub(r"\blinks(?=[.-])", "www", text)
    if answers.app == "empty":
        text = PARAGRAPH.sub("", text).replace("links.example.com", "www.example.com")
        for word, other in {**WORDS, "Short links": answers.title}.items():
            text = text.replace(word, other)
    if target == "README.md":
        return text.replace(f"# {APP}", f"# {answers.title}")
    words = answers.package.title().replace("_", "")
    return text.replace("Myapp", words).replace(APP, answers.package)


if __name__ == "__main__":
    main(*sys.argv[1:])
