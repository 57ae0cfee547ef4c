"""The tools for backups, which run beside the database, as modules."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest

from tests.testbed.commands import ROOT


@pytest.fixture(scope="session")
def tools() -> dict[str, ModuleType]:
    """The modules of docker/data, which import each other by their bare names."""
    folder = str(ROOT / "docker/data")
    names = ("programs", "database", "volume", "storage", "catalog", "loading", "swap", "restore")
    names += ("archive", "scratch", "point", "upgrade", "measures")
    sys.path.insert(0, folder)
    try:
        made = {}
        for name in names:
            spec = importlib.util.spec_from_file_location(name, f"{folder}/{name}.py")
            made[name] = sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(made[name])
        return made
    finally:
        sys.path.remove(folder)
        for name in names:
            sys.modules.pop(name, None)
