"""Whether the suite runs every test: which files have some, and of which one ran."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from ..errors import ExitCode, TaskError
from ..project import git
from ..project.app_settings import App
from ..project.pipeline import is_below
from ..project.settings import ROOT

# What the runners collect by default, together: pytest's names, Django's, and tests.py.
NAMES = ("test*.py", "*_test.py")
TEST = re.compile(r"^\s*(async )?def test", re.MULTILINE)
CLASSNAME = re.compile(r'<testcase classname="([^"]+)"')


def test_files(root: Path = ROOT) -> list[PurePosixPath]:
    """Return the files of the source that have tests, by their name or their folder."""
    try:
        source = git.files(root)
    except TaskError:
        source = sorted(root.rglob("[!.]*/**/*.py"))
    found = [PurePosixPath(path.relative_to(root)) for path in source if path.suffix == ".py"]
    named = [path for path in found if _is_named(path)]
    return [path for path in named if TEST.search((root / path).read_text("utf-8", "replace"))]


def _is_named(path: PurePosixPath) -> bool:
    return "tests" in path.parts[:-1] or any(path.match(name) for name in NAMES)


def require_inside(app: App, pipeline: Sequence[str], root: Path = ROOT) -> list[PurePosixPath]:
    """Return the files with the app's tests. Raises TaskError, naming those outside of it."""
    own = [path for path in test_files(root) if not is_below(path, pipeline)]
    if outside := [path for path in own if not is_below(path, app.paths)]:
        names, folders = ", ".join(map(str, outside)), sorted({path.parts[0] for path in outside})
        hint = f"add {', '.join(folders)} to app.packages in invoke.yaml"
        raise TaskError(f"tests outside of the app: {names}", hint, ExitCode.REFUSED)
    return own


def require_run(expected: Sequence[PurePosixPath], report: str) -> None:
    """Check that pytest ran tests of every file, by its JUnit report. Raises TaskError if not."""
    ran = {f"{name}." for name in CLASSNAME.findall(report)}
    dotted = {path: f"{path.with_suffix('')}.".replace("/", ".") for path in expected}
    _require(path for path, name in dotted.items() if not any(one.startswith(name) for one in ran))


def require_discovered(expected: Sequence[PurePosixPath], app: App, root: Path = ROOT) -> None:
    """Check that Django's runner finds every file: named test*.py, in packages only."""
    _require(path for path in expected if not (path.match(NAMES[0]) and _packed(path, app, root)))


def _packed(path: PurePosixPath, app: App, root: Path) -> bool:
    """Return whether every folder between a package of the app and a file is a package."""
    inner = [folder for folder in path.parents if is_below(folder, app.paths)]
    return all((root / folder / "__init__.py").is_file() for folder in inner)


def _require(left: Iterable[PurePosixPath]) -> None:
    if names := ", ".join(map(str, left)):
        hint = "name them test_*.py, in folders with __init__.py, or remove what excludes them"
        raise TaskError(f"no test ran of: {names}", hint)
