"""One deploy at a time, and what becomes of one that is interrupted or killed."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.testbed.commands import until
from tests.testbed.sites import Site

from .trouble import another, clock, elsewhere, forget_slow, interrupt, settled, slow, take_lock

pytestmark = [pytest.mark.engine, pytest.mark.slow]
OWNER = f"{getpass.getuser()}@{socket.gethostname()}"
# A Python that reads this has a clock which is a day behind.
BEHIND = """
import datetime
import time

DAY = 24 * 3600
now, gmtime = time.time, time.gmtime
time.time = lambda: now() - DAY
time.gmtime = lambda seconds=None: gmtime(now() - DAY if seconds is None else seconds)


class Behind(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) - datetime.timedelta(days=1)


datetime.datetime = Behind
"""


@pytest.fixture
def quiet(site):
    """The site, whose database has no slow migration, neither before nor afterwards."""
    forget_slow(site)
    yield site
    forget_slow(site)


@pytest.mark.either("compose", "cluster")
@pytest.mark.fault("two deploys at once")
def test_of_two_deploys_at_once_one_goes_on_and_the_other_is_told_whose(site, fault):
    new = another(site)
    first = site.begin("deploy", f"--ref={new}")
    first.until("checking the image")
    second = site.inv("deploy", f"--ref={site.good}")
    assert first.wait().status == 0, first.text
    fault(second, status=4, serves=new)
    assert f"inv: locked by {OWNER}, deploys since 2" in second.verdict


@pytest.mark.either("compose", "cluster")
def test_who_waits_gets_the_lock_afterwards_but_an_older_commit_never_wins(site):
    new = another(site)
    first = site.begin("deploy", f"--ref={new}")
    first.until("checking the image")
    older = site.begin("deploy", f"--ref={site.good}", "--wait=5m")
    older.until(f"locked by {OWNER}, deploys since 2")
    hasty = site.begin("secrets.set", "--random", "--wait=1s")
    task = site.inv("secrets.set", "--random", "--wait=5m")
    assert (task.status, first.wait().status) == (0, 0), task.text
    assert hasty.wait().status == 4 and "inv: waited 1 s: locked by" in hasty.verdict
    assert older.wait().status == 2, older.text
    assert "was deployed while this waited" in older.verdict
    site.serves(new)


@pytest.mark.either("compose", "cluster")
def test_ctrl_c_while_it_waits_leaves_nothing_behind(site):
    first = site.begin("deploy", f"--ref={another(site)}")
    first.until("checking the image")
    waiter = site.begin("deploy", f"--ref={site.good}", "--wait=5m")
    waiter.until("waiting, until")
    interrupt(waiter)
    assert waiter.wait().status == 130, waiter.text
    assert first.wait().status == 0, first.text
    assert "nothing to do" in site.must("deploy", f"--ref={another(site)}").text


@pytest.mark.either
@pytest.mark.fault("Ctrl-C while all is looked at before")
def test_ctrl_c_in_the_preflight_changes_nothing(site, fault):
    new, history, before = another(site), site.history(), site.logins()
    run = site.begin("deploy", f"--ref={new}")
    until(lambda: site.logins() > before)
    interrupt(run)
    fault(run.wait(), status=130, serves=site.good)
    assert run.verdict == "inv: interrupted"
    assert site.history() == history


@pytest.mark.either("compose", "cluster")
@pytest.mark.fault("Ctrl-C while the image is checked")
def test_ctrl_c_before_the_roll_leaves_all_as_it_was(site, fault):
    run = site.begin("deploy", f"--ref={another(site)}")
    run.until("checking the image")
    interrupt(run)
    fault(run.wait(), status=1, serves=site.good)
    assert "interrupted; no replica of the app was touched" in run.verdict
    assert site.jobs() == ""
    assert site.history()[0]["state"] == "failed"
    assert "nothing to do" in site.must("deploy", f"--ref={site.good}").text


@pytest.mark.fault("Ctrl-C while the database is backed up")
def test_ctrl_c_in_the_backup_leaves_all_as_it_was(quiet, fault):
    run = quiet.begin("deploy", f"--ref={slow(quiet)}")
    run.until("backing up the database")
    interrupt(run)
    fault(run.wait(), status=1, serves=quiet.good)
    assert "interrupted; no replica of the app was touched" in run.verdict
    assert quiet.jobs() == ""
    assert "nothing to do" in quiet.must("deploy", f"--ref={quiet.good}").text


@pytest.mark.either("cluster")
@pytest.mark.fault("Ctrl-C while it migrates")
def test_ctrl_c_in_a_migration_ends_it(quiet, fault):
    run = quiet.begin("deploy", f"--ref={slow(quiet)}")
    run.until("waiting")
    assert quiet.jobs().startswith(quiet.job("migrate"))
    interrupt(run)
    fault(run.wait(), status=1, serves=quiet.good)
    assert "interrupted; no replica of the app was touched" in run.verdict
    assert quiet.jobs() == ""
    assert quiet.sql("SELECT name FROM django_migrations WHERE name = '9001_slow';") == ""
    assert "nothing to do" in quiet.must("deploy", f"--ref={quiet.good}").text


@pytest.mark.either("compose", "cluster")
@pytest.mark.fault("Ctrl-C while it rolls")
def test_ctrl_c_in_the_roll_undoes_it(site, fault):
    run = site.begin("deploy", f"--ref={another(site)}")
    run.until(" old")
    interrupt(run)
    fault(run.wait(), status=1, serves=site.good)
    assert "inv: interrupted; rolled back: release " in run.verdict
    assert site.history()[0]["state"] == "undone"


@pytest.mark.either("compose", "cluster")
@pytest.mark.fault("Ctrl-C while the new version is watched")
def test_ctrl_c_when_only_the_new_version_serves_undoes_it(site, fault):
    new = another(site)
    run = site.begin("deploy", f"--ref={new}")
    run.until("rolling out")
    until(lambda: site.versions() == {new}, 60)
    interrupt(run)
    fault(run.wait(), status=1, serves=site.good)
    assert "inv: interrupted; rolled back: release " in run.verdict


@pytest.mark.either("compose", "cluster")
@pytest.mark.fault("Ctrl-C, and again while it is undone")
def test_ctrl_c_twice_says_that_a_person_is_needed_and_the_next_deploy_repairs_it(site, fault):
    new = another(site)
    run = site.begin("deploy", f"--ref={new}")
    run.until(" old")
    interrupt(run)
    run.until("rolling back")
    interrupt(run)
    run.wait()
    (serves,) = settled(site)
    fault(run, status=3, serves=serves)
    assert "automatic rollback also failed (interrupted) - check " in run.verdict
    site.must("deploy", f"--ref={new}")
    site.serves(new)


def test_a_deploy_goes_on_when_nobody_reads_it(site):
    new = another(site)
    run = site.begin("deploy", f"--ref={new}")
    run.until("checking the image")
    run.leave()
    assert run.wait().status == 0, run.text
    site.serves(new)
    assert site.history()[0]["state"] == "succeeded"


def test_a_terminal_that_is_closed_undoes_the_roll(site):
    run = site.begin("deploy", f"--ref={another(site)}")
    run.until(" old")
    run.leave()
    for _ in range(2):
        interrupt(run, signal.SIGHUP)
        time.sleep(0.3)
    assert run.wait().status == 1, run.text
    site.serves(site.good)
    assert site.history()[0]["state"] == "undone"


@pytest.mark.either
@pytest.mark.fault("the deployer is killed while it rolls")
def test_a_deployer_killed_in_the_roll_blocks_nobody_for_long(site, fault, tmp_path):
    new = another(site)
    run = site.begin("deploy", f"--ref={new}")
    run.until(" old")
    run.process.kill()
    run.wait()
    early = site.inv("deploy", f"--ref={new}")
    assert early.status == 4, early.text
    done = site.inv("deploy", f"--ref={new}", **clock(tmp_path, "+1 minute"))
    fault(done, status=0, serves=new)
    assert f"took over the lock of {OWNER}, deploys since " in done.text
    assert "was cut off" in done.text
    # Swarm may have ended the roll by itself; then the deploy that was killed is what runs.
    newest = site.history()[0]
    assert (newest["state"], newest["revision"]) == ("succeeded", new)


@pytest.mark.fault("the machine that deploys sleeps while it rolls, and another deploys meanwhile")
def test_a_deployer_that_wakes_up_leaves_what_another_has_deployed(site, fault, tmp_path):
    first = site.begin("deploy", f"--ref={another(site)}")
    first.until(" old")
    interrupt(first, signal.SIGSTOP)
    # What it asked for just now has been done.
    time.sleep(1)
    theirs = site.build("of somebody else")
    site.must("deploy", f"--ref={theirs}", **clock(tmp_path, "+1 minute"))
    interrupt(first, signal.SIGCONT)
    fault(first.wait(), status=3, serves=theirs)
    assert (
        "inv: deploy lock lost (it was removed): stopped without rolling back - " in first.verdict
    )
    assert "rolled back" not in first.verdict
    assert settled(site) == {theirs}
    assert site.history()[0]["revision"] == theirs


@pytest.mark.either("cluster")
@pytest.mark.fault("the deployer is killed while it migrates")
def test_a_deployer_killed_in_a_migration_is_followed_by_the_next_within_a_minute(quiet, fault):
    new = slow(quiet)
    run = quiet.begin("deploy", f"--ref={new}", TMPDIR="/tmp")
    run.until("waiting")
    run.process.kill()
    killed = time.monotonic()
    run.wait()
    done = until(lambda: (tried := quiet.inv("deploy", f"--ref={new}")).status != 4 and tried, 120)
    assert time.monotonic() - killed > 30
    fault(done, status=0, serves=new)
    assert "took over the lock of " in done.text
    assert quiet.jobs() == ""


def test_a_command_that_lost_the_lock_leaves_the_jobs_of_who_has_it(site):
    sleep = "import time; print('begun', flush=True); time.sleep(60)"
    first = site.begin("manage", f'shell -c "{sleep}"')
    first.until("begun")
    assert site.jobs() == f"{site.stack}_jobs_manage"
    # Somebody takes the lock over, and ends what the former owner had begun.
    take_lock(site, "{}")
    site.on("node1", f"docker service rm {site.stack}_jobs_manage")
    label = f"--label com.docker.stack.namespace={site.stack}_jobs"
    site.on("node1", f"docker service create -d {label} --name theirs redis:8-trixie sleep 600")
    try:
        assert first.wait().status == 3, first.text
        assert "deploy lock lost (held by an unknown owner)" in first.verdict
        assert site.jobs() == "theirs"
    finally:
        site.on("node1", "docker service rm theirs")
        site.must("unlock", "--yes")


def test_what_a_killed_deployer_leaves_here_goes_with_the_next(site):
    # A longer path than this one is not used: sockets are in it.
    with TemporaryDirectory(dir="/tmp") as folder:
        leftovers_go(site, Path(folder))


def leftovers_go(site: Site, tmp_path: Path) -> None:
    """See that the folders of a killed deploy are removed by the next one."""
    run = site.begin("deploy", f"--ref={another(site)}", TMPDIR=str(tmp_path))
    run.until("checking the image")
    run.process.kill()
    run.wait()
    left = list(tmp_path.glob("inv-scratch-*"))
    assert left
    done = site.must("unlock", "--yes", TMPDIR=str(tmp_path))
    assert f"removed the lock of {OWNER}, deploys since " in done.text

    def gone() -> bool:
        # What still runs of it for a moment uses them, and makes them young again.
        for folder in filter(Path.exists, left):
            os.utime(folder, (0, 0))
        site.must("unlock", TMPDIR=str(tmp_path))
        return not [*tmp_path.glob("inv-scratch-*")]

    until(gone, 60)
    done = site.must("deploy", f"--ref={site.good}")
    assert "was cut off" in done.text and "nothing to do" in done.text
    site.serves(site.good)


def test_unlock_asks_and_tells_when_there_is_nothing_to_do(site):
    assert f"{site.env} is not locked" in site.must("unlock").text
    take_lock(site, "{}")
    refused = site.inv("unlock")
    assert refused.status == 2
    assert "locked by an unknown owner" in refused.verdict
    assert site.lock
    site.must("unlock", "--yes")
    assert site.lock == ""


@pytest.mark.fault("the clock of who deploys is a day behind")
def test_another_clock_here_changes_nothing_but_what_is_told(site, fault, tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(BEHIND)
    new = another(site)
    done = site.inv("deploy", f"--ref={new}", PYTHONPATH=str(tmp_path))
    fault(done, status=0, serves=new)
    newest = site.history()[0]
    assert newest["revision"] == new
    assert (datetime.now(UTC) - datetime.fromisoformat(newest["began"])).days == 1
    assert 0 < newest["seconds"] <= done.seconds + 1
    back = site.must("rollback")
    assert f"release {newest['number'] + 1} runs" in back.text
    site.serves(site.good)


@pytest.mark.fault("a server's clock was set back while it was locked")
def test_a_lock_of_the_future_ends_by_itself_too(site, fault, tmp_path):
    take_lock(site, '{"by": "ann", "doing": "deploys", "since": "tomorrow", "token": "t"}')
    assert "lock: free" in site.must("status", **clock(tmp_path, "-1 hour")).text
    done = site.inv("deploy", f"--ref={site.good}", **clock(tmp_path, "-1 hour"))
    fault(done, status=0, serves=site.good)
    assert "took over the lock of ann, deploys since tomorrow" in done.text


def test_a_lock_excludes_from_another_folder_and_first_server_whatever_the_clock(site, tmp_path):
    other = elsewhere(site, tmp_path)
    first = site.begin("manage", 'shell -c "import time; time.sleep(60)"')
    until(lambda: site.lock)
    for shift in ("now", "+1 minute", "-1 hour"):
        second = site.inv("rollback", **other, **clock(tmp_path, shift))
        assert second.status == 4, second.text
        assert f"locked by {OWNER}, runs manage.py shell since 2" in second.verdict
    interrupt(first)
    assert first.wait().status == 130, first.text
    assert site.lock == ""


def test_a_dry_run_takes_no_lock(site):
    done = site.must("--dry", "secrets.set", "--name=SECRET_KEY")
    assert f"docker config create --label deploy.lock={site.stack}" in done.text
    assert site.lock == ""
    take_lock(site, "{}")
    assert site.inv("--dry", "secrets.set", "--name=SECRET_KEY").status == 4
    site.must("--dry", "unlock", "--yes")
    assert site.lock
    site.must("unlock", "--yes")
