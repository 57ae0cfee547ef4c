"""One Docker host without Swarm, over SSH: deploys under load, failures, kills, a restart."""

from __future__ import annotations

import json
import os
import re
import signal
import uuid
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tasks.lib.orchestrators.compose import spec
from tests.testbed.commands import docker, until
from tests.testbed.onehost import OneHost
from tests.testbed.sites import Site

from .test_truth import other_settings

pytestmark = [
    *(pytest.mark.engine, pytest.mark.slow),
    pytest.mark.parametrize("site", ["one_host"], indirect=True),
]
EXITS = {"=docker/web": "#!/bin/sh\necho 'boom: no licence file' >&2\nexit 7\n"}
# Python, for manage.py shell: a link is made, and shown.
MAKE = (
    "from myapp.models import Link; Link.objects.create(code='kept', target='https://example.com/')"
)
SHOW = "from myapp.models import Link; print('found', Link.objects.filter(code='kept').count())"
# How many links there are that the load has made.
LOADED = (
    "from myapp.models import Link;"
    " found = Link.objects.filter(target__regex=r'example.com/[0-9.]+$');"
    " print('loaded', found.count(), found.values('target').distinct().count())"
)
# Healthy beside a web server that is; a beat that exits at boot.
BEAT_EXITS = {"=docker/beat.py": "raise SystemExit('no beat')\n"}


@pytest.fixture
def host(site: OneHost) -> OneHost:
    """The site, of which host.good serves."""
    return site


def loaded(host: OneHost) -> tuple[int, int]:
    """How many links the load has made, and how many different ones."""
    text = host.must("manage", f'shell -c "{LOADED}"').text
    found = re.search(r"loaded (\d+) (\d+)", text)
    assert found, text
    return int(found[1]), int(found[2])


def given(host: OneHost) -> dict[str, list[dict[str, Any]]]:
    """What the containers of each service were given."""
    found = sorted(host.inspected(), key=lambda it: it["Config"]["Labels"]["deploy.service"])
    return {
        name: [spec.of_container(each) for each in mine]
        for name, mine in groupby(found, lambda it: it["Config"]["Labels"]["deploy.service"])
    }


def test_deploys_and_a_rollback_under_load_lose_no_request(host):
    other, before, (count, _) = host.build("another one"), given(host), loaded(host)
    with host.load("/", "/livez") as load:
        host.must("deploy", f"--ref={other}")
        host.must("rollback")
    assert load.failures == []
    assert load.done["slow"] and load.done["upload"] and load.total > 100
    host.serves(host.good)
    assert host.must("status").status == 0
    # What went back has all that it had: mounts, variables, limits, restart policies.
    assert given(host) == before
    # Nothing that changes data was sent twice.
    made, different = loaded(host)
    assert made == different == count + load.done["upload"]


def test_only_the_proxy_is_reached_from_outside_and_no_log_grows_for_ever(host):
    for each in host.inspected():
        ports = {name for name, bound in each["NetworkSettings"]["Ports"].items() if bound}
        service = each["Config"]["Labels"]["deploy.service"]
        assert bool(ports) == (service == "proxy"), (service, ports)
        log = each["HostConfig"]["LogConfig"]
        assert (log["Type"], log["Config"]["max-size"]) == ("local", "10m"), service


def test_a_restart_of_the_server_amid_a_roll_leaves_one_version(host):
    image = host.build("meets a restart")
    run = host.begin("deploy", f"--ref={image}")
    run.until("healthy, 1 starting")
    docker("restart", "--time", "10", host.nodes["node1"])
    done = run.wait()
    until(lambda: host.versions() in ({image}, {host.good}), 120)
    # The deployer may have lost its connection for too long to bring anything back.
    assert done.status in (0, 1, 3) and done.verdict
    assert host.versions() == {image if done.status == 0 else host.good} or done.status == 3
    host.must("unlock", "--yes")
    host.must("deploy", f"--ref={image}")
    assert host.versions() == {image} and host.must("status").status == 0


def test_a_deploy_leaves_the_database_redis_and_the_proxy_as_they_are(host):
    names = ("db", "redis", "proxy")
    before = [each.began for name in names for each in host.replicas(name)]
    host.must("deploy", f"--ref={host.build('leaves them')}")
    assert [each.began for name in names for each in host.replicas(name)] == before


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(EXITS, marks=pytest.mark.fault("the app exits when it starts")),
        pytest.param(BEAT_EXITS, marks=pytest.mark.fault("beat exits when it starts")),
    ],
    ids=["web", "beat"],
)
def test_a_failed_deploy_never_touches_what_serves(host, files, fault):
    before = host.ids()
    bad = host.build("exits at boot", files)
    done = host.inv("deploy", f"--ref={bad}")
    fault(done, status=1, serves=host.good)
    assert "rolled back: release" in done.verdict
    assert host.ids() == before


@pytest.mark.fault("the deployer is killed while it rolls, then a deploy of what was before")
@pytest.mark.parametrize("sign", ["rolling out", "healthy, 1 starting", "healthy, 2 old"])
def test_a_killed_deploy_is_followed_by_a_good_one(host, sign, fault):
    image = host.build(f"killed at {sign}")
    with host.load("/", "/livez") as load:
        run = host.begin("deploy", f"--ref={image}")
        run.until(sign)
        os.killpg(run.process.pid, signal.SIGKILL)
        host.must("unlock", "--yes")
        done = host.must("deploy", f"--ref={host.good}")
    assert load.failures == []
    fault(done, status=0, serves=host.good)
    services = {each["Config"]["Labels"]["deploy.service"] for each in host.inspected()}
    assert services == {"app", "worker", "beat", "db", "redis", "proxy"}
    assert len(host.replicas("app")) == 2


def test_what_was_accepted_comes_back_after_a_restart_of_the_server_and_nothing_else(host):
    image = host.build("cut off by a restart", EXITS)
    run = host.begin("deploy", f"--ref={image}")
    run.until("healthy, 1 starting")
    os.killpg(run.process.pid, signal.SIGKILL)
    docker("restart", "--time", "10", host.nodes["node1"])
    until(lambda: host.versions() == {host.good}, 120)
    running = [
        each for each in host.inspected("label=deploy.service=app") if each["State"]["Running"]
    ]
    assert len(running) == 2
    assert {each["HostConfig"]["RestartPolicy"]["Name"] for each in running} == {"unless-stopped"}
    host.must("unlock", "--yes")
    host.must("deploy", f"--ref={host.build('after the restart')}")
    assert host.must("status").status == 0


@pytest.mark.parametrize("restart", [False, True], ids=["", "and the server restarts"])
def test_a_database_whose_deployer_is_killed_while_it_is_replaced_is_there(host, tmp_path, restart):
    values = host.settings["environments"][host.env]["values"]
    memory = {"DB_MEMORY": "900M" if restart else "800M"}
    changed = other_settings(host, tmp_path, {"values": values | memory})
    (old,) = host.replicas("db")
    run = changed.begin("deploy", f"--ref={host.good}")
    until(lambda: old.facts["Id"] not in databases(host), 120)
    if restart:
        # A server that is cut off between the two has none: see compose/replacement.py.
        until(lambda: databases(host), 60)
    os.killpg(run.process.pid, signal.SIGKILL)
    if restart:
        docker("restart", "--time", "10", host.nodes["node1"])
    until(lambda: len(databases(host)) == 1 and host.versions() == {host.good}, 120)
    host.must("unlock", "--yes")
    changed.must("deploy", f"--ref={host.good}")
    (new,) = host.replicas("db")
    assert new.facts["HostConfig"]["Memory"] == int(memory["DB_MEMORY"][:-1]) * 2**20
    host.must("deploy", f"--ref={host.good}")
    assert host.must("status").status == 0


def databases(host: OneHost) -> list[str]:
    """The IDs of the databases that run; none while the server is away."""
    try:
        known = [each.facts for each in host.replicas("db")]
    except RuntimeError:
        return []
    return [each["Id"] for each in known if each["State"]["Running"]]


def test_secrets_are_files_of_their_reader_and_in_no_inspection(host):
    value = host.lab["SECRET_KEY"]
    assert value not in json.dumps(host.inspected())
    volumes = host.on("node1", f"docker volume ls -q -f name={host.stack}_SECRET_KEY_v")
    show = f"docker volume inspect -f '{{{{.Mountpoint}}}}' {volumes.split()[-1]}"
    folder = host.on("node1", show).strip()
    files = host.on("node1", f"stat -c '%n %u %a' {folder}/*").split("\n")
    assert any(line.endswith("10001.10001.400 10001 400") for line in files)
    seen = host.on("node1", f"su deploy -c 'cat {folder}/value' 2>&1; true")
    assert "ermission denied" in seen and value not in seen


@pytest.mark.fault("the environment runs with another orchestrator")
def test_another_orchestrator_is_refused_with_the_steps(host, tmp_path, fault):
    done = other_settings(host, tmp_path, {"orchestrator": "swarm"}).inv("deploy")
    fault(done, status=2, serves=host.good)
    assert "runs there with `orchestrator: compose`" in done.verdict
    assert "inv destroy" in done.verdict


@pytest.mark.fault("several servers are named for one Docker host")
def test_several_servers_are_refused_and_swarm_is_named(host, tmp_path, fault):
    hosts = host.settings["environments"][host.env]["hosts"]
    done = other_settings(host, tmp_path, {"hosts": hosts * 2}).inv("deploy")
    fault(done, status=2, serves=host.good)
    assert "2 servers" in done.verdict and "`swarm`" in done.verdict


# It is the last: what is above runs without a Swarm.
def test_an_environment_moves_to_a_swarm_and_back_with_its_data_and_secrets(host, tmp_path):
    import pyrage

    made = pyrage.x25519.Identity.generate()
    key = tmp_path / "key.txt"
    key.write_text(f"{made}\n")
    host.must("manage", f'shell -c "{MAKE}"')
    swarm = other_settings(host, tmp_path, {"orchestrator": "swarm"})
    move(host, swarm, key, str(made.to_public()))
    assert host.inspected() == []
    move(swarm, host, key, str(made.to_public()))
    assert swarm.services() == []


def move(old: Site, new: Site, key: Path, recipient: str) -> None:
    """Follow the steps that a deploy is refused with, to another orchestrator."""
    refused = new.inv("deploy", f"--ref={old.good}")
    assert refused.status == 2 and "runs there with `orchestrator: " in refused.verdict
    file = key.with_suffix(f".{uuid.uuid4().hex}")
    old.must("secrets.export", f"--to={file}", f"--recipient={recipient}")
    old.must("destroy", "--yes")
    new.must("server.setup")
    new.must("secrets.import", f"--from={file}", f"--identity={key}")
    new.must("deploy", f"--ref={old.good}")
    assert new.versions() == {old.good}
    assert "found 1" in new.must("manage", f'shell -c "{SHOW}"').text
