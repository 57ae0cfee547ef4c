"""One Docker host without Swarm, over SSH: deploys under load, failures, kills, a restart."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.testbed.commands import docker, until
from tests.testbed.labs import started
from tests.testbed.onehost import OneHost
from tests.testbed.sites import SLOW

from .conftest import quick
from .test_truth import other_settings

pytestmark = [pytest.mark.engine, pytest.mark.slow]
EXITS = {"=docker/web": "#!/bin/sh\necho 'boom: no licence file' >&2\nexit 7\n"}
# Python, for manage.py shell: a link is made, and shown.
MAKE = (
    "from myapp.models import Link; Link.objects.create(code='kept', target='https://example.com/')"
)
SHOW = "from myapp.models import Link; print('found', Link.objects.filter(code='kept').count())"
# Healthy beside a web server that is; a beat that exits at boot.
BEAT_EXITS = {"=docker/beat.py": "raise SystemExit('no beat')\n"}


@pytest.fixture(scope="module")
def lab_site(
    tmp_path_factory: pytest.TempPathFactory, make_clone: Callable[[Path], Path]
) -> Iterator[OneHost]:
    """The app, deployed in a lab of one server without a Swarm."""
    folder = tmp_path_factory.mktemp("onehost")
    with started(folder / "lab", orchestrator="compose") as lab:
        settings = quick(Path(lab["INVOKE_RUNTIME_CONFIG"]), folder / "invoke.yaml")
        made = OneHost(make_clone(folder / "clone"), {**lab, "INVOKE_RUNTIME_CONFIG": settings})
        made.set_up()
        made.write("myapp/urls.py", SLOW, add=True)
        made.good = made.build("the site")
        made.first = made.must("deploy", f"--ref={made.good}")
        yield made


@pytest.fixture
def host(lab_site: OneHost) -> OneHost:
    """The site, of which host.good serves."""
    if lab_site.versions() != {lab_site.good} or lab_site.lock:
        lab_site.must("unlock", "--yes")
        lab_site.must("deploy", f"--ref={lab_site.good}")
    return lab_site


@pytest.fixture
def site(host: OneHost) -> OneHost:
    """The site, for the fixture `fault`."""
    return host


def test_deploys_and_a_rollback_under_load_lose_no_request(host):
    other = host.build("another one")
    with host.load("/", "/livez") as load:
        host.must("deploy", f"--ref={other}")
        host.must("rollback")
    assert load.failures == []
    assert load.done["slow"] and load.done["upload"] and load.total > 100
    host.serves(host.good)
    assert host.must("status").status == 0


def test_a_deploy_leaves_the_database_redis_and_the_proxy_as_they_are(host):
    names = ("db", "redis", "proxy")
    before = [each.began for name in names for each in host.replicas(name)]
    host.must("deploy", f"--ref={host.build('leaves them')}")
    assert [each.began for name in names for each in host.replicas(name)] == before


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(EXITS, marks=pytest.mark.fault("one Docker host: the app exits at its start")),
        pytest.param(
            BEAT_EXITS, marks=pytest.mark.fault("one Docker host: beat exits at its start")
        ),
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


@pytest.mark.fault("one Docker host: a deploy after one that was killed while it rolled")
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


@pytest.mark.fault("one Docker host: several servers are named")
def test_several_servers_are_refused_and_swarm_is_named(host, tmp_path, fault):
    hosts = host.settings["environments"][host.env]["hosts"]
    done = other_settings(host, tmp_path, {"hosts": hosts * 2}).inv("deploy")
    fault(done, status=2, serves=host.good)
    assert "2 servers" in done.verdict and "`swarm`" in done.verdict


# It is the last: what is above runs without a Swarm.
def test_an_environment_moves_to_a_swarm_with_its_data_and_secrets(host, tmp_path):
    import pyrage

    made = pyrage.x25519.Identity.generate()
    key, file = tmp_path / "key.txt", tmp_path / "lab.age"
    key.write_text(f"{made}\n")
    host.must("manage", f'shell -c "{MAKE}"')
    host.must("secrets.export", f"--to={file}", f"--recipient={made.to_public()}")
    host.must("destroy", "--yes")
    assert host.inspected() == []
    swarm = other_settings(host, tmp_path, {"orchestrator": "swarm"})
    swarm.must("server.setup")
    swarm.must("secrets.import", f"--from={file}", f"--identity={key}")
    swarm.must("deploy", f"--ref={host.good}")
    swarm.serves(host.good)
    assert "found 1" in swarm.must("manage", f'shell -c "{SHOW}"').text
    refused = host.inv("deploy", f"--ref={host.good}")
    assert refused.status == 2 and "runs there with `orchestrator: swarm`" in refused.verdict
