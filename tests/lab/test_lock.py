"""One deploy at a time, and what becomes of one that is interrupted or killed."""

from __future__ import annotations

import getpass
import socket

import pytest

from .support import Site
from .trouble import another, forget_slow, interrupt, slow

pytestmark = [pytest.mark.engine, pytest.mark.slow]
OWNER = f"{getpass.getuser()}@{socket.gethostname()}"


@pytest.fixture
def quiet(site):
    """The site, whose database has no slow migration afterwards."""
    yield site
    forget_slow(site)


def jobs(site: Site) -> str:
    """The one-off jobs that are on the servers."""
    return site.on(
        "node1", f"docker service ls --format '{{{{.Name}}}}' | grep ^{site.stack}- || true"
    )


@pytest.mark.fault("two deploys at once")
def test_of_two_deploys_at_once_one_goes_on_and_the_other_is_told_whose(site, fault):
    new = another(site)
    first = site.begin("deploy", f"--ref={new}")
    first.until("checking the image")
    second = site.inv("deploy", f"--ref={site.good}")
    assert first.wait().status == 0, first.text
    fault(second, status=4, serves=new)
    assert f"inv: locked by {OWNER}, deploys since 2" in second.verdict


@pytest.mark.fault("Ctrl-C while the image is checked")
def test_ctrl_c_before_the_roll_leaves_all_as_it_was(site, fault):
    run = site.begin("deploy", f"--ref={another(site)}")
    run.until("checking the image")
    interrupt(run)
    fault(run.wait(), status=1, serves=site.good)
    assert "interrupted; no replica of the app was touched" in run.verdict
    assert jobs(site) == ""
    assert site.history()[0]["state"] == "failed"
    assert "nothing to do" in site.must("deploy", f"--ref={site.good}").text


@pytest.mark.fault("Ctrl-C while it migrates")
def test_ctrl_c_in_a_migration_ends_it(quiet, fault):
    run = quiet.begin("deploy", f"--ref={slow(quiet)}")
    run.until("waiting")
    interrupt(run)
    fault(run.wait(), status=1, serves=quiet.good)
    assert "interrupted; no replica of the app was touched" in run.verdict
    assert jobs(quiet) == ""
    assert quiet.sql("SELECT name FROM django_migrations WHERE name = '9001_slow';") == ""
    assert "nothing to do" in quiet.must("deploy", f"--ref={quiet.good}").text


@pytest.mark.fault("Ctrl-C while it rolls")
def test_ctrl_c_in_the_roll_undoes_it(site, fault):
    run = site.begin("deploy", f"--ref={another(site)}")
    run.until(" old")
    interrupt(run)
    fault(run.wait(), status=1, serves=site.good)
    assert "inv: interrupted; undone: release " in run.verdict
    assert site.history()[0]["state"] == "undone"
