"""Records on a server: one of which only a part came, as its deployer was killed, is no record."""

from __future__ import annotations

import subprocess

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
