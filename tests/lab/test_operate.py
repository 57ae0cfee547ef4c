"""What an environment needs around its deploys: hooks, set-up, one-off commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.commands import until
from tests.testbed.sites import Site

from .trouble import another, elsewhere

pytestmark = [pytest.mark.engine, pytest.mark.slow]
FACTS = '#!/bin/sh\nenv | grep ^DEPLOY_ >"{file}"\n{more}\n'


@pytest.fixture
def hook(site: Site, tmp_path: Path) -> Iterator:
    """Makes a hook that writes its facts to a file; returns the file."""
    folder = site.root / "hooks"

    def make(name: str, more: str = "") -> Path:
        file = tmp_path / name
        site.write(f"hooks/{name}", FACTS.format(file=file, more=more))
        (folder / name).chmod(0o755)
        return file

    yield make
    for each in folder.glob("*"):
        each.unlink()
    folder.rmdir()


def facts(file: Path) -> dict[str, str]:
    """What a hook was told."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


@pytest.mark.fault("hooks/pre-deploy says no")
def test_a_hook_refuses_a_deploy(site, fault, hook):
    told = hook("pre-deploy", "echo 'not on a Friday'; exit 3")
    history = site.history()
    done = site.inv("deploy", f"--ref={another(site)}")
    fault(done, status=2, serves=site.good)
    assert "not on a Friday" in done.text
    assert "inv: hooks/pre-deploy exited with 3 - " in done.verdict
    assert facts(told)["DEPLOY_COMMIT"] == another(site)
    assert site.history() == history


@pytest.mark.fault("hooks/post-deploy fails")
def test_a_hook_that_fails_after_a_deploy_is_told_and_the_new_version_stays(site, fault, hook):
    after, failed = hook("post-deploy", "exit 1"), hook("on-failure")
    new = another(site)
    done = site.inv("deploy", f"--ref={new}")
    fault(done, status=0, serves=new)
    assert "warning: hooks/post-deploy exited with 1" in done.text
    number = str(site.history()[0]["number"])
    seen = facts(after)
    assert seen["DEPLOY_ENVIRONMENT"] == site.env
    assert (seen["DEPLOY_RELEASE"], seen["DEPLOY_KIND"]) == (number, "deploy")
    assert (seen["DEPLOY_COMMIT"], seen["DEPLOY_URL"]) == (new, site.url)
    assert not failed.exists()


@pytest.mark.fault("SIGTERM, and hooks/on-failure fails")
def test_a_hook_is_told_of_a_failure_and_hides_nothing_of_it(site, fault, hook):
    failed = hook("on-failure", "exit 1")
    run = site.begin("deploy", f"--ref={another(site)}")
    run.until("checking the image")
    run.process.terminate()
    fault(run.wait(), status=1, serves=site.good)
    assert "warning: hooks/on-failure exited with 1" in run.text
    assert "inv: interrupted; no replica of the app was touched" in run.verdict
    assert facts(failed)["DEPLOY_ERROR"].startswith("interrupted; ")


def test_servers_are_set_up_once_and_one_that_left_the_swarm_joins_it_again(site, tmp_path):
    assert f"{site.env}: ready, nothing to do" in site.must("server.setup").text
    site.on("node3", "docker swarm leave --force")
    refused = site.inv("secrets.set", "--name=SECRET_KEY", **elsewhere(site, tmp_path))
    assert refused.status == 2, refused.text
    assert ": not a Swarm manager (inactive) - " in refused.verdict
    done = site.must("server.setup")
    assert "had left the Swarm; removed its former node" in done.text
    assert "joined as manager" in done.text
    # When it was the leader that left, those that stay elect another one first.
    nodes = "docker node ls --format '{{.Hostname}} {{.Status}}'"
    all_ready = ["node1 Ready", "node2 Ready", "node3 Ready"]
    until(lambda: sorted(site.on("node2", nodes).splitlines()) == all_ready, 60)
    assert f"{site.env}: ready, nothing to do" in site.must("server.setup").text
    # What ran there is elsewhere now.
    until(lambda: site.inv("status").status == 0, 90)


def test_a_command_is_run_with_the_image_that_serves(site):
    done = site.must("manage", "shell -c \"import os; print('pid is', os.getpid())\"")
    assert "pid is " in done.text
    failed = site.inv("manage", "no-such-command")
    assert failed.status == 1
    assert "Unknown command: 'no-such-command'" in failed.text
    assert site.lock == ""
    assert f"{site.stack}_jobs_" not in site.on("node1", "docker service ls")


@pytest.mark.either("compose", "cluster")
def test_the_database_is_asked_and_not_changed(site):
    asked = "SELECT 'it''s ' || count(*) > '' AS \"all\" FROM pg_stat_activity"
    shown = site.must("psql", f"--command={asked}").text
    assert " all \n" in shown and " t\n" in shown and "(1 row)" in shown
    refused = site.inv("psql", "--command=CREATE TABLE a ()")
    assert refused.status == 1
    assert "cannot execute CREATE TABLE in a read-only transaction" in refused.text
    assert refused.verdict == "inv: psql failed: see above - correct the statement"
    # Of what hangs, on-call ends one.
    ended = site.must("psql", "--command=SELECT pg_terminate_backend(0)")
    assert "PID 0 is not a PostgreSQL" in ended.text


def test_a_command_waits_for_what_the_app_needs(site):
    db = f"{site.stack}_db"
    site.on("node1", f"docker service scale --detach {db}=0")
    try:
        until(lambda: not site.on("node1", f"docker ps -q -f name={db}."), 60)
        run = site.begin("manage", "migrate --check")
        run.until("  waiting for db: ")
    finally:
        site.on("node1", f"docker service scale --detach {db}=1")
    assert run.wait().status == 0, run.text
    assert run.at("  waiting for db: ")


def test_status_and_history_show_how_it_is(site):
    said = site.must("status").text
    for service in site.services():
        assert f"\n{service} " in f"\n{said}"
    assert "app      2/2 healthy" in said
    assert f"url: {site.url} answers, version {site.good[:12]}" in said
    assert "lock: free" in said
    newest = site.history()[0]
    (line,) = [
        line
        for line in site.must("history").text.splitlines()
        if line.startswith(f"{newest['number']} ")
    ]
    assert newest["state"] in line and newest["by"] in line and newest["revision"][:12] in line


def test_the_audit_log_has_each_deploy_with_its_end(site):
    site.must("deploy", f"--ref={another(site)}")
    newest, before, *_ = site.must("history.audit", "--newest=9").text.splitlines()[1:]
    for line, end in ((newest, "done"), (before, "begins")):
        assert another(site)[:7] in line and "deploys" in line and line.endswith(end)
