"""What people and accidents do past the records: a deploy looks at the servers."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import yaml

from tests.testbed.commands import until
from tests.testbed.sites import Site

from .trouble import another

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def by_hand(site: Site, service: str, *options: str) -> None:
    """Update a service with docker's own command."""
    words = " ".join(options)
    site.on("node1", f"docker service update -dq --no-resolve-image {words} {site.stack}_{service}")


def other_settings(site: Site, folder: Path, change: dict) -> Site:
    """The same environment, where invoke.yaml says something else of it."""
    settings = yaml.safe_load(Path(site.lab["INVOKE_RUNTIME_CONFIG"]).read_text())
    settings["environments"][site.env] |= change
    file = folder / "other.yaml"
    file.write_text(yaml.safe_dump(settings))
    return site.at(site.env, INVOKE_RUNTIME_CONFIG=str(file))


@pytest.fixture
def swapped(site: Site, tmp_path: Path):
    """The site, of which invoke.yaml names another server first."""
    hosts = site.settings["environments"][site.env]["hosts"]
    yield other_settings(site, tmp_path, {"hosts": [hosts[1], hosts[0], *hosts[2:]]})
    site.on("node2", f"rm -rf deploy/myapp/{site.env}")


@pytest.mark.fault("another server is named first, which has no history")
def test_a_history_that_is_elsewhere_is_refused_and_what_runs_can_be_adopted(site, swapped, fault):
    before = site.services()
    bad = site.build("exits at boot, elsewhere", {"=docker/web": "#!/bin/sh\nexit 7\n"})
    done = swapped.inv("deploy", f"--ref={bad}")
    fault(done, status=2, serves=site.good)
    number = site.history()[0]["number"]
    assert f"release {number} runs, and is not in the history in deploy@node2:" in done.verdict
    assert "its history is in deploy@node1:/home/deploy/deploy/myapp" in done.verdict
    tasks = f"docker stack ps {site.stack} -qf desired-state=running"
    running = site.on("node1", tasks)
    swapped.must("history.adopt")
    assert site.on("node1", tasks) == running
    failed = swapped.inv("deploy", f"--ref={bad}")
    assert failed.status == 1 and f"rolled back: release {number}" in failed.verdict
    assert site.services() == before
    site.serves(site.good)


@pytest.mark.fault("a service was scaled to nothing by hand")
def test_a_service_that_was_scaled_by_hand_is_repaired(site, fault):
    by_hand(site, "app", "--replicas=0")
    until(lambda: site.versions(1) == {"nothing"}, 60)
    status = site.inv("status")
    assert status.status == 1 and "Replicas: 2 -> 0" in status.text
    done = site.inv("deploy", f"--ref={site.good}")
    assert "changed by hand since release" in done.text
    fault(done, status=0, serves=site.good)
    site.must("status")


@pytest.mark.fault("a variable was set by hand")
def test_a_variable_that_was_set_by_hand_is_repaired(site, fault):
    by_hand(site, "worker", "--env-add=SITE_URL=http://other.example.com")
    plan = site.must("deploy", f"--ref={site.good}", "--plan")
    assert "-> http://other.example.com" in plan.text
    fault(site.inv("deploy", f"--ref={site.good}"), status=0, serves=site.good)
    site.must("status")


@pytest.mark.fault("a service was given another image by hand")
def test_an_image_that_was_set_by_hand_is_repaired(site, fault):
    image = site.settings["registry"]["image"]
    wrong = site.registry.digest(another(site))
    # The servers have both images.
    for commit in (another(site), site.good):
        site.must("deploy", f"--ref={commit}")
    by_hand(site, "worker", f"--image={image}@{wrong}")
    assert f"-> {image}@{wrong}" in site.inv("status").text
    done = site.inv("deploy", f"--ref={site.good}")
    assert "changed by hand since release" in done.text
    fault(done, status=0, serves=site.good)
    digest = site.registry.digest(site.good)
    listed = f"docker service ls --format '{{{{.Image}}}}' -f name={site.stack}_worker"
    assert site.on("node1", listed).strip().endswith(digest)
    site.must("status")


@pytest.mark.fault("the deployer is killed while the new version is watched, then a rollback")
def test_a_killed_deploy_that_runs_everywhere_is_what_a_rollback_leaves(site, fault):
    new = another(site)
    run = site.begin("deploy", f"--ref={new}", INVOKE_DEPLOY_SOAK="60")
    until(lambda: site.versions() == {new}, 120)
    os.killpg(run.process.pid, signal.SIGKILL)
    run.wait()
    until(lambda: "was cut off" in site.inv("status").verdict, 120)
    fault(site.inv("rollback"), status=0, serves=site.good)
    again = site.must("deploy")
    assert "nothing to do" in again.text


@pytest.mark.fault("the record of an older release is damaged")
def test_a_damaged_record_is_named_and_stops_nothing(site, fault):
    site.must("deploy", f"--ref={another(site)}")
    number = site.history()[0]["number"] - 1
    file = f"deploy/myapp/{site.env}/releases/{number}/release.json"
    kept = site.on("node1", f"cat {file}")
    site.on("node1", f"head -c 20 {file} >cut && cat cut >{file}; rm cut")
    try:
        assert f"{number}/release.json is damaged" in site.inv("status").verdict
        done = site.inv("deploy", f"--ref={site.good}")
        fault(done, status=0, serves=site.good)
        assert "damaged" in site.inv("history").text
    finally:
        site.on("node1", f"cat >{file}", text=kept)


def test_a_prune_after_a_rollback_takes_nothing_that_runs_or_is_remembered(site):
    site.must("deploy", f"--ref={another(site)}")
    site.must("rollback")
    site.serves(site.good)
    site.must("images.prune", "--keep=1", "--yes")
    digests = {each["image"].partition("@")[2] for each in site.history()}
    assert all(site.registry.digest(digest) for digest in digests)
    assert "nothing to do" in site.must("deploy").text
