"""docs/architecture.md shows the code as it is."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/architecture.md"
spec = importlib.util.spec_from_file_location("rooms", ROOT / "docs/rooms.py")
assert spec and spec.loader
rooms = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rooms)

TEXT = PAGE.read_text("utf-8")
CHANGES = re.findall(r"^\| ([^|]+?) \| `([^`]+)` \| `([^`]+)` \|$", TEXT, re.MULTILINE)


def test_the_picture_is_made_from_the_code():
    assert rooms.drawn(TEXT) == TEXT, "run: .inv/venv/bin/python docs/rooms.py"


def test_every_room_is_described():
    described = set(re.findall(r"^\| `?([a-z]+)`? \|", TEXT, re.MULTILINE))
    folders = {
        path.name for path in (ROOT / "tasks/lib").iterdir() if (path / "__init__.py").exists()
    }
    assert folders <= described


def test_there_are_changes_to_look_up():
    assert len(CHANGES) >= 24


@pytest.mark.parametrize(("change", "file", "sign"), CHANGES)
def test_what_is_to_be_changed_is_where_the_page_says(change, file, sign):
    assert sign in (ROOT / file).read_text("utf-8"), change
