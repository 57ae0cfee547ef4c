"""What docker/static.py copies to the folder that the proxy serves."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from tests.testbed.commands import ROOT


@pytest.fixture
def static(tmp_path, monkeypatch) -> ModuleType:
    """The script, whose image is a folder."""
    monkeypatch.setenv("APP_STATIC", "static")
    spec = importlib.util.spec_from_file_location("static_files", ROOT / "docker/static.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "SOURCE", str(tmp_path / "image"))
    return module


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        file = folder / name.replace("__", "/").replace("_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def served(folder: Path) -> dict[str, str]:
    found = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_text() for file in found}


def test_hashed_files_of_earlier_versions_stay(static, tmp_path):
    image, folder = tmp_path / "image", tmp_path / "srv"
    for mark in ("1", "2"):
        write(image, css__a_css="plain", **{f"css__a_{mark}_css": mark})
        manifest = {"paths": {"css/a.css": f"css/a.{mark}.css"}}
        (image / "staticfiles.json").write_text(json.dumps(manifest))
        static.main(str(folder))
    assert served(folder) == {"css/a.1.css": "1", "css/a.2.css": "2"}


def test_without_a_manifest_each_file_takes_the_place_of_the_earlier_one(static, tmp_path):
    image, folder = tmp_path / "image", tmp_path / "srv"
    for text in ("old", "new"):
        write(image, admin__css__base_css=text, error_html=f"{text} page")
        static.main(str(folder))
    assert served(folder) == {"admin/css/base.css": "new", "error.html": "new page"}
