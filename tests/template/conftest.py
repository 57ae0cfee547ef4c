"""What projects are made from."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.testbed import clones, projects
from tests.testbed.commands import ROOT

# As Python itself does for the scripts that Copier runs.
sys.path.append(str(ROOT / "template"))


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    """This work tree, with a tag."""
    return projects.make_template(tmp_path_factory.mktemp("made") / "template", "v1.0.0")


@pytest.fixture(scope="session")
def shop(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new project, as it is."""
    return projects.new(template, tmp_path_factory.mktemp("recipes") / "shop")


@pytest.fixture
def project(shop: Path, tmp_path: Path) -> Path:
    """A new project to change."""
    root = tmp_path / "shop"
    shutil.copytree(shop, root, symlinks=True, ignore=shutil.ignore_patterns(".inv"))
    clones.lend_venv(root)
    return root
