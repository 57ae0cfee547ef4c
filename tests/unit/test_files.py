"""Folders of the tasks do not dirty a repository."""

from __future__ import annotations

from tasks.lib import files
from tests.testbed.commands import git


def test_git_ignores_a_folder_of_ours_whatever_gitignore_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "--quiet")
    files.write({"reports/image.env": "A=1\n", "out/of/here.json": "{}\n"})
    assert (tmp_path / "out/of/here.json").read_text() == "{}\n"
    assert git(tmp_path, "status", "--porcelain") == ""


def test_a_folder_of_the_team_stays_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/models.py").write_text("")
    files.write({"reports/image.env": "A=1\n"})
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == [
        "image.env",
        "models.py",
    ]
