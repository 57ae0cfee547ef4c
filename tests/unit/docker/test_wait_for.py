"""What a job says that waits for services; tests/image/test_roles.py has it in containers."""

from __future__ import annotations

import importlib.util
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tasks.lib.project import contract
from tests.testbed.commands import ROOT


@pytest.fixture
def wait_for() -> Any:
    """The module, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("wait_for", ROOT / "docker/wait_for.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def service(monkeypatch) -> Iterator[str]:
    """A service that accepts connections; its name is found at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("REDIS_URL", f"redis://localhost:{server.getsockname()[1]}/0")
        yield "localhost"


def test_nothing_is_said_of_a_service_that_is_there(wait_for, service, capfd):
    wait_for.wait([service], 5)
    assert capfd.readouterr().err == ""


def test_a_slow_look_up_of_a_name_is_told(wait_for, service, monkeypatch, capfd):
    find = socket.getaddrinfo

    def slowly(*words: Any, **more: Any) -> Any:
        time.sleep(0.2)
        return find(*words, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    wait_for.wait([service], 5)
    assert capfd.readouterr().err == ""
    monkeypatch.setattr(wait_for, "LOOKUP", 0.1)
    wait_for.wait([service], 5)
    said = capfd.readouterr().err
    # Deploys show only lines that begin so.
    assert said == f"{contract.WAITS}localhost: the look-up of its name took 0.2 s\n"
