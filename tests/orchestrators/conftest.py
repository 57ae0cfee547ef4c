"""Worlds for the conformance suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .world import World, memory_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An environment that nothing was deployed to yet."""
    with memory_world(tmp_path) as made:
        yield made
