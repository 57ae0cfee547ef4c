"""Servers, disks and the registry that fail: before a deploy, and in the midst of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.testbed.clients import CLIENTS
from tests.testbed.commands import until
from tests.testbed.load import SLOW, UPLOADS, VISITORS
from tests.testbed.sites import Site

from .trouble import another, blocked, change_leader, leader, state, stopped

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def forget(site: Site, node: str, commit: str) -> None:
    """Take an image away from a server."""
    name = site.registry.image.at(site.registry.digest(commit))
    site.on(node, f"docker rmi --force {name} || true")


@contextmanager
def full(site: Site, node: str, path: str) -> Iterator[None]:
    """A folder of a server is on a file system that is full."""
    site.on(node, f"mount -t tmpfs -o size=64k none {path}")
    try:
        site.on(node, f"dd if=/dev/zero of={path}/full bs=1k count=64 2>/dev/null || true")
        yield
    finally:
        site.on(node, f"umount -l {path}")


@pytest.mark.fault("the registry is gone")
def test_a_registry_that_is_gone_is_told_before_anything_is_changed(site, fault):
    history = site.history()
    with stopped(site, "registry"):
        done = site.inv("deploy", f"--ref={site.good}")
    fault(done, status=2, serves=site.good)
    assert "the registry localhost:" in done.verdict
    assert "does not answer" in done.verdict
    assert site.history() == history
    until(lambda: site.answers())
    assert "nothing to do" in site.must("deploy", f"--ref={site.good}").text


@pytest.mark.fault("the registry goes away when the servers are to pull")
def test_a_registry_that_goes_away_amid_a_deploy_leaves_the_old_version(site, fault):
    new = another(site)
    for node in site.nodes:
        forget(site, node, new)
    run = site.begin("deploy", f"--ref={new}")
    run.until("==> the stack")
    with stopped(site, "registry"):
        done = run.wait()
    fault(done, status=1, serves=site.good)
    assert "No such image" in done.verdict
    assert "no replica of the app was touched" in done.verdict
    until(lambda: site.answers())
    site.must("deploy", f"--ref={new}")
    site.serves(new)


@pytest.mark.fault("one server has not the image, and cannot pull it")
def test_an_image_that_one_server_cannot_get_leaves_the_old_version(site, fault):
    new = another(site)
    forget(site, "node2", new)
    with blocked(site, "node2", "OUTPUT", site.registry.image.host.rpartition(":")[2]):
        done = site.inv("deploy", f"--ref={new}")
    fault(done, status=2, serves=site.good)
    assert done.text.count(": cannot pull ") == 1
    assert " - it must reach the registry" in done.verdict
    # It has still not the image, but can pull it.
    site.must("deploy", f"--ref={new}")
    site.serves(new)


@pytest.mark.fault("a server's disk is full")
def test_a_full_disk_is_told_before_anything_is_changed(site, fault):
    history = site.history()
    with full(site, "node3", "/var/lib/docker"):
        done = site.inv("deploy", f"--ref={site.good}")
    fault(done, status=2, serves=site.good)
    assert ": 0.0 GB free, 2 needed - docker system prune there" in done.verdict
    assert site.history() == history
    assert "nothing to do" in site.must("deploy", f"--ref={site.good}").text


def places(site: Site) -> list[str]:
    """Where the app's replicas are."""
    words = f"docker service ps {site.stack}_app --filter desired-state=running"
    return site.on("node1", f"{words} --format '{{{{.Node}}}}'").split()


def test_a_deploy_leaves_the_replicas_on_different_servers(site):
    for commit in (another(site), site.good, another(site)):
        site.must("deploy", f"--ref={commit}")
        assert len(set(places(site))) == len(places(site)) == 2


@pytest.mark.fault("a server dies, and stays away in the next deploy")
def test_a_server_that_dies_takes_only_what_it_was_answering(site, fault):
    new = another(site)
    assert len(set(places(site))) == 2
    with site.load() as load:
        with stopped(site, "node3"):
            until(lambda: state(site, "node3") == "down", 60)
            answered = load.total
            until(lambda: load.total > answered + 100, 90)
            done = site.inv("deploy", f"--ref={new}")
            fault(done, status=0, serves=new)
        until(lambda: state(site, "node3") == "ready", 60)
    print(*load.failures, sep="\n")
    # Each client has lost one request at most: the one that the server had in hand.
    assert len(load.failures) <= CLIENTS + SLOW + UPLOADS + VISITORS
    assert "warning: deploy@" in done.text
    assert "SSH " in done.text
    site.must("deploy", f"--ref={site.good}")
    site.serves(site.good)


@pytest.mark.fault("a manager restarts while it rolls")
def test_a_manager_that_restarts_amid_a_roll_leaves_one_stated_version(site, fault):
    new = another(site)
    run = site.begin("deploy", f"--ref={new}")
    run.until(" old")
    with stopped(site, "node2"):
        pass
    done = run.wait()
    until(lambda: state(site, "node2") == "ready", 60)
    # A replica of the new version may have been on it.
    assert done.status in (0, 1)
    fault(done, status=done.status, serves=site.good if done.status else new)
    assert done.status == 0 or "rolled back: release " in done.verdict
    site.must("deploy", f"--ref={new}")
    site.serves(new)


# Tells that it runs, and takes the time in which another run would begin.
RUN = "import time; print('it', 'runs', flush=True); time.sleep(5)"


def test_a_command_is_run_once_where_a_manager_leads_again(site):
    # Swarm's own jobs are run again and again then: https://github.com/moby/moby/issues/53632
    led = [leader(site, "node1")]
    while led[-1] not in led[:-1]:
        led.append(change_leader(site))
    until(lambda: site.inv("status").status == 0, 120)

    said = site.must("manage", f'shell -c "{RUN}"').text

    assert said.count("it runs") == 1
