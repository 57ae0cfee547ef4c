"""The job that dumps the database: what it writes, and which older dumps it deletes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tasks.lib.deploys import database
from tasks.lib.errors import TaskError
from tasks.lib.project import contract

NEW = "20300101T000000Z"
OLD = [f"2029010{day}T000000Z" for day in range(1, 6)]
PG_DUMP = """\
#!/bin/sh
for each in "$@"; do case "$each" in --file=*) echo data >"${each#--file=}";; esac; done
exit %d
"""


@pytest.fixture
def dump(tmp_path: Path):
    """Runs the job in a folder with older dumps; returns what is there then."""

    def run(*arguments: str, status: int = 0) -> set[str]:
        tool = tmp_path / "bin/pg_dump"
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(PG_DUMP % status)
        tool.chmod(0o755)
        folder = tmp_path / "backups"
        folder.mkdir()
        for age, name in enumerate([*reversed(OLD), "before-the-move", "20290101"]):
            (folder / f"{name}.dump").touch()
            os.utime(folder / f"{name}.dump", (10**9 - age, 10**9 - age))
        script = database.DUMP.replace(contract.BACKUPS_FOLDER, str(folder), 1)
        env = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
        done = subprocess.run(["sh", "-c", script, NEW, *arguments], env=env)
        assert done.returncode == status
        return {each.name.removesuffix(".dump") for each in folder.iterdir()}

    return run


def test_older_dumps_go_but_for_the_newest_ones_and_a_persons_own(dump):
    assert dump("3") == {NEW, *OLD[-2:], "before-the-move", "20290101"}


def test_a_dump_that_a_recorded_deploy_names_stays(dump):
    assert dump("1", OLD[0], OLD[2]) == {NEW, OLD[0], OLD[2], "before-the-move", "20290101"}


def test_fewer_dumps_than_may_stay_all_stay(dump):
    assert dump("10") == {NEW, *OLD, "before-the-move", "20290101"}


def test_a_dump_that_fails_deletes_none(dump):
    assert dump("1", status=3) == {*OLD, "before-the-move", "20290101"}


def test_a_deploy_keeps_as_many_as_its_settings_say(world):
    backups = world.target.orchestrator.inner.cluster.backups
    backups[:] = OLD
    world.wait_for(backups=2)
    world.deploy(world.image())
    world.deploy(world.image(migrations=("myapp.9001_one",)))
    assert backups == [OLD[-1], world.records()[0].backup]


def test_a_backup_that_fails_lets_nothing_be_migrated(world):
    good = world.image()
    world.deploy(good)
    orchestrator = world.target.orchestrator
    # The first job checks the image.
    orchestrator.before["run_jobs"] = lambda: orchestrator.before.update(run_jobs=disk_full)
    with pytest.raises(TaskError, match="disk full"):
        world.deploy(world.image(migrations=("myapp.9001_one",)))
    assert orchestrator.inner.cluster.applied == []
    assert world.serves() == good.revision


def disk_full() -> None:
    raise TaskError("backup failed: disk full")


def test_all_dumps_stay_as_long_as_a_record_cannot_be_read(world):
    world.deploy(world.image(migrations=("myapp.9001_one",)))
    world.host.run('echo "{" >"$1/releases/1/release.json"', world.target.path)
    count, named = database.kept(world.records(), 1)
    assert (count, named) == (database.EVERY, [])
