"""`inv deploy` and `inv rollback` to a real Swarm, when all goes well: nobody notices."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import time

import pytest

from tests.testbed.k6 import Referee
from tests.testbed.load import FOR_EVER, static
from tests.testbed.sites import Site

from .trouble import take_lock

pytestmark = pytest.mark.engine
OTHER = "0" * 40


def shown(site: Site) -> str:
    """The one hashed style sheet of the page that is served."""
    (sheet,) = [file for file in static(site.get("/")[2]) if file.endswith(".css")]
    return sheet


def tasks(site: Site) -> str:
    """The tasks that run, and the services' specifications.

    Not the services' versions: Swarm counts on, when it calls a rollout completed.
    """
    own = f"label=com.docker.stack.namespace={site.stack}"
    services = f"$(docker service ls -q -f {own})"
    script = f"docker service ps -q -f desired-state=running {services}; "
    return site.on("node1", f"{script} docker service inspect -f '{{{{json .Spec}}}}' {services}")


def test_the_first_deploy_starts_all_from_nothing(site):
    assert site.first.status == 0
    assert site.first.lines[-1][1].startswith(site.registry.image.name)
    assert f"release 1 runs: {site.url}" in site.first.text
    assert site.record["state"] == "succeeded" and site.record["revision"] == site.good
    assert "myapp.0001_link" in site.record["migrations"]
    assert site.services() == ["app", "beat", "db", "proxy", "redis", "worker"]
    site.serves(site.good)


def test_nobody_notices_a_deploy_nor_a_rollback(site):
    old_sheet = shown(site)
    new = site.build("another style", {"myapp/static/myapp/site.css": "\n/* another */\n"})
    with Referee(site.url) as k6, site.load(pause=0.01) as load:
        done = site.must("deploy", f"--ref={new}")
        site.serves(new)
        new_sheet = shown(site)
        # Uploads and slow requests that began in the new version are in flight when it goes.
        time.sleep(2)
        back = site.must("rollback")
        site.serves(site.good)
    print(f"deploy {done.seconds:.1f} s, rollback {back.seconds:.1f} s, {load}, {k6}")
    assert load.failures == []
    assert (k6.failed, k6.complaints) == (0, [])
    assert k6.total > 200
    assert load.versions.keys() == {site.good, new}
    assert load.total > 500
    assert min(load.done[kind] for kind in ("kept", "new", "slow", "upload", "visit")) > 3
    assert old_sheet != new_sheet
    for sheet in (old_sheet, new_sheet):
        status, headers, _ = site.get(sheet)
        assert (status, headers["Cache-Control"]) == (200, FOR_EVER)
    newest = site.history()[0]
    assert (newest["kind"], newest["state"], newest["revision"]) == (
        "rollback",
        "succeeded",
        site.good,
    )


def clients() -> list[str]:
    """The docker clients on the path, each once: of different versions, maybe."""
    found = [shutil.which("docker", path=folder) for folder in os.get_exec_path()]
    return sorted({os.path.realpath(each) for each in found if each})


def test_any_docker_client_deploys(site, tmp_path):
    commits = itertools.cycle([site.build("by another client"), site.good])
    for number, client in enumerate(clients()):
        folder, commit = tmp_path / str(number), next(commits)
        folder.mkdir()
        (folder / "docker").symlink_to(client)
        site.must("deploy", f"--ref={commit}", PATH=f"{folder}:{os.environ['PATH']}")
        site.serves(commit)


def test_the_same_release_again_is_nothing_to_do(site):
    history, running = site.history(), tasks(site)
    done = site.must("deploy", f"--ref={site.good}")
    assert "runs already: nothing to do" in done.text
    # 3 s on a machine at rest.
    assert done.seconds < 9
    assert (site.history(), tasks(site)) == (history, running)


def test_a_plan_shows_what_would_change_and_changes_nothing(site):
    new = site.build("planned")
    history, running = site.history(), tasks(site)
    digest = site.registry.digest(new)
    done = site.must("deploy", f"--ref={new}", "--plan")
    changes = [line for _, line in done.lines if line.startswith("  ~ services.")]
    assert [line.split()[1] for line in changes] == [
        f"services.{name}.image:" for name in ("app", "beat", "worker")
    ]
    assert all(line.endswith(f"@{digest}") for line in changes)
    assert (site.history(), tasks(site), site.lock) == (history, running, "")


@pytest.mark.either("compose", "cluster")
@pytest.mark.fault("the image is not tested")
def test_an_image_that_is_not_tested_is_refused_unless_forced(site, fault):
    new = site.build("untested", tested=False)
    history = site.history()
    refused = site.inv("deploy", f"--ref={new}")
    fault(refused, status=2, serves=site.good)
    assert "is not tested - ./inv test --image=" in refused.verdict
    assert site.history() == history
    forced = site.must("deploy", f"--ref={new}", "--force=an emergency")
    assert "is not tested, and forced: an emergency" in forced.text
    site.serves(new)
    assert site.history()[0]["why"] == "an emergency"


@pytest.mark.either("compose", "cluster")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(
            ["deploy", f"--ref={OTHER}"], f"no image for '{OTHER}'",
            marks=pytest.mark.fault("the ref has no image"),
        ),
        pytest.param(
            ["rollback", "--to=999"], "no release 999 to go back to",
            marks=pytest.mark.fault("the release to go back to is unknown"),
        ),
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused(site, fault, words, says):
    history = site.history()
    done = site.inv(*words)
    fault(done, status=2, serves=site.good)
    assert says in done.verdict
    assert site.history() == history


@pytest.mark.fault("somebody else deploys")
def test_what_somebody_has_locked_ends_with_4_and_says_who(site, fault):
    note = {
        "by": "ann (https://ci.example.com/1)",
        "doing": "deploys",
        "since": "now",
        "token": "t",
    }
    take_lock(site, json.dumps(note))
    history = site.history()
    done = site.inv("deploy", f"--ref={site.good}")
    assert site.lock
    site.must("unlock", "--yes")
    fault(done, status=4, serves=site.good)
    assert "locked by ann (https://ci.example.com/1), deploys since now" in done.verdict
    assert site.history() == history
