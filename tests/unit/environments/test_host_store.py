"""Records on a server: one of which only a part came, as its deployer was killed, is no record."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tasks.lib.environments import host_store
from tasks.lib.environments.host_store import HostStore
from tests.orchestrators.servers import LocalHost

WHOLE = '{"number": 1, "why": "é"}'


@pytest.mark.parametrize("come", ["", WHOLE[:9], WHOLE[:-1]])
def test_a_record_that_has_not_come_whole_leaves_what_was_there(tmp_path, come):
    store = HostStore(LocalHost(tmp_path), "folder/prod")  # type: ignore[arg-type]
    store.write(1, "release.json", WHOLE)
    words = ["folder/prod", "1", "release.json", str(len(WHOLE.encode()))]
    cut = ["sh", "-c", host_store.WRITE, "inv", *words]
    assert subprocess.run(cut, cwd=tmp_path, input=come.encode(), check=False).returncode == 1
    assert store.show(1, "release.json") == WHOLE
    assert [each.name for each in (tmp_path / "folder/prod/releases/1").iterdir()] == [
        "release.json"
    ]


@pytest.mark.parametrize("come", ["", '{"time": "now", "what'])
def test_a_line_of_the_log_that_has_not_come_whole_is_none(tmp_path, come):
    store = HostStore(LocalHost(tmp_path), "folder/prod")  # type: ignore[arg-type]
    store.log('{"time": "now"}')
    cut = ["sh", "-c", host_store.LOG, "inv", "folder", host_store.AUDIT]
    assert subprocess.run(cut, cwd=tmp_path, input=come.encode(), check=False).returncode == 1
    (line,) = store.logged(9)
    assert line.startswith('{"time": "now", "address": ')


@pytest.fixture
def journal(tmp_path, monkeypatch) -> socket.socket:
    """The socket that the server's logger writes to, instead of that of this machine's journal."""
    if not (logger := shutil.which("logger")):
        pytest.skip("no program logger on this machine")
    monkeypatch.chdir(tmp_path)
    Path("bin").mkdir()
    # The real one, with another socket; it has to be a name of at most 107 bytes.
    Path("bin/logger").write_text(f'#!/bin/sh\nexec {logger} --socket=log "$@"\n')
    Path("bin/logger").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=":")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind("log")
    listening.settimeout(5)
    return listening


def test_the_servers_own_log_has_the_whole_line_too(tmp_path, journal):
    store = HostStore(LocalHost(tmp_path), "folder/prod")  # type: ignore[arg-type]
    line = {"what": 'deploys x, forced: "it\'s $HOME" ' + "é" * 1000, "state": "n" * 1000}
    store.log(json.dumps(line))
    tag, _, text = journal.recv(65536).decode().partition("deploy: ")
    assert tag.startswith("<")
    assert [text] == store.logged(9)
    assert json.loads(text) == {**line, "address": json.loads(text)["address"]}


def test_a_server_whose_own_log_is_away_has_the_line_in_its_file(tmp_path, journal):
    journal.close()
    store = HostStore(LocalHost(tmp_path), "folder/prod")  # type: ignore[arg-type]
    store.log('{"what": "x"}')
    assert json.loads(store.logged(9)[0])["what"] == "x"
