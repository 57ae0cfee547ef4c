"""Which files are checked where the pipeline is developed, and which in a project."""

from __future__ import annotations

from pathlib import Path

from tasks.lib.project import pipeline

PATHS = [Path(name) for name in ("inv", "tasks/lib/a.py", "shop/a.py", "invoke.yaml", "taskset.py")]


def test_a_project_checks_its_own_files(tmp_path):
    assert pipeline.without(PATHS, tmp_path) == PATHS[2:]


def test_this_repository_checks_all(tmp_path):
    (tmp_path / "copier.yml").touch()
    assert pipeline.without(PATHS, tmp_path) == PATHS
    assert pipeline.foreign(tmp_path) == ()
