"""Which files are the pipeline's: the same in every project, and checked where it is developed."""

from collections.abc import Iterable
from pathlib import Path, PurePath

FILES = (
    *("inv", "tasks", "docker", "compose", "lab"),
    *("Dockerfile", ".gitlab-ci.yml", ".github/workflows/ci.yml", ".github/workflows/pipeline.yml"),
)


def is_developed(root: Path = Path()) -> bool:
    """Return whether a folder is the pipeline's repository, from which projects are made."""
    return (root / "copier.yml").is_file()


def foreign(root: Path = Path()) -> tuple[str, ...]:
    """Return the files and folders that a project only uses; none where they are developed."""
    return () if is_developed(root) else FILES


def is_below(path: str | PurePath, folders: Iterable[str]) -> bool:
    """Return whether a path is one of the folders or in one of them."""
    return any(PurePath(path).is_relative_to(folder) for folder in folders)


def without(paths: Iterable[Path], root: Path = Path()) -> list[Path]:
    """Return the paths that are the project's own to check."""
    return [path for path in paths if not is_below(path, foreign(root))]
