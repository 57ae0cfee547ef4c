"""What projects are made from."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.testbed import projects
from tests.testbed.commands import ROOT

# As Python itself does for the scripts that Copier runs.
sys.path.append(str(ROOT / "template"))


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    """This work tree, with a tag."""
    return projects.make_template(tmp_path_factory.mktemp("made") / "template", "v1.0.0")
