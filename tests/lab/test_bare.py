"""Servers that have nothing but sshd and sudo: they are set up, checked, and hold their door."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.testbed.bare_servers import DAEMON, Bare, bare_servers, docker_packages, script
from tests.testbed.commands import docker, until, works
from tests.testbed.runs import Run
from tests.testbed.sites import SLOW, Exports, Site

from . import faults

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SWARM = [2377, 7946]
# All that a plan could have changed.
STATE = "find /etc /home /root /usr /var/lib -newer /mark -type f | sort; getent passwd"


def see(request: pytest.FixtureRequest, run: Run, status: int, says: str) -> None:
    """See how a task ended that met the fault of the test's mark, and keep its row."""
    assert run.status == status, run.text
    assert says in run.verdict
    assert "Traceback" not in run.text
    mark = request.node.get_closest_marker("fault")
    faults.record(mark.args[0], run, "nothing, as before")


@contextmanager
def in_lab(folder: Path, lab: Exports, count: int, **daemon: object) -> Iterator[Bare]:
    """Bare servers in the network of a lab whose registry they reach, with keys of daemon.json."""
    node = json.loads(docker("inspect", next(iter(Site(Path(), lab).nodes.values()))))[0]
    network = next(iter(node["NetworkSettings"]["Networks"]))
    forward = next(each for each in node["Config"]["Env"] if each.startswith("FORWARD="))
    keys = {**DAEMON, "registry-mirrors": [node["Args"][-1]], **daemon}
    flags = [f"--env={forward}"]
    with bare_servers(folder, count, network=network, daemon=keys, flags=flags) as made:
        overlay = yaml.safe_load(Path(lab["INVOKE_RUNTIME_CONFIG"]).read_text())
        made.more = {"registry": overlay["registry"]}
        yield made


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, lab: Exports) -> Iterator[Bare]:
    """Two servers that were bare, in the network of a lab whose registry they reach."""
    with in_lab(tmp_path_factory.mktemp("bare"), lab, 2) as made:
        made.settings()
        made.on(0, "touch /mark")
        before = made.on(0, STATE)
        plan = made.inv("server.setup", "--plan")
        assert plan.status == 0, plan.text
        assert ": Docker: not installed - " in plan.text
        assert made.on(0, STATE) == before
        first = made.inv("server.setup")
        assert first.status == 0, first.text
        assert "joined as worker" in first.text
        yield made


def unchanged(servers: Bare) -> None:
    """See that nothing differs, and that nothing is changed once more."""
    assert servers.inv("server.check").status == 0
    again = servers.inv("server.setup")
    assert again.status == 0 and again.text.splitlines()[-1] == "staging: ready, nothing to do"
    assert servers.inv("server.setup", "--plan").text == "staging: nothing to do"


def test_a_server_that_was_set_up_has_nothing_left_to_change(two):
    unchanged(two)
    assert json.loads(two.on(0, "cat /etc/docker/daemon.json"))["log-driver"] == "local"
    assert two.on(0, "cat /etc/docker/daemon.json").count("storage-driver") == 1


def test_an_app_is_deployed_to_servers_that_were_bare(
    two: Bare, lab: Exports, make_clone: Callable[[Path], Path], tmp_path: Path
):
    site = Site(make_clone(tmp_path / "clone"), {**lab, **two.variables}, env="staging")
    site.set_up()
    commit = site.build("on servers that were bare")
    site.must("deploy", f"--ref={commit}")
    assert site.versions() == {commit}
    (app,) = two.on(0, f"docker ps -q -f name={site.stack}_app").split()[:1]
    assert "NoNewPrivs:\t1" in two.on(0, f"docker exec {app} cat /proc/1/status")
    # The app of a stack cannot speak to a manager of its Swarm.
    probe = "import socket; socket.create_connection(('{}', {}), 2)"
    for number in (0, 1):
        command = probe.format(two.address(number), 2377)
        with pytest.raises(RuntimeError, match="timed out"):
            two.on(0, f'docker exec {app} python -c "{command}"')
    two.on(0, f'docker exec {app} python -c "{probe.format(two.address(0), 80)}"')
    site.must("destroy", "--volumes", "--yes")


def test_docker_restarts_amid_a_roll_on_one_host_and_no_container_ends(
    lab: Exports, make_clone: Callable[[Path], Path], tmp_path: Path
):
    with in_lab(tmp_path, lab, 1, **{"live-restore": True}) as server:
        server.settings(orchestrator="compose")
        site = Site(make_clone(tmp_path / "clone"), {**lab, **server.variables}, env="staging")
        site.write("myapp/urls.py", SLOW, add=True)
        site.set_up()
        first, other = site.build("before it"), site.build("amid it")
        site.must("deploy", f"--ref={first}")
        lasting = "docker ps -q --no-trunc -f label=deploy.service=db -f label=deploy.stack"
        database = server.on(0, lasting)
        with site.load("/", "/livez") as load:
            run = site.begin("deploy", f"--ref={other}")
            run.until("starting")
            server.on(0, "systemctl restart docker")
            done = run.wait()
        assert load.failures == []
        assert done.status in (0, 1, 3) and done.verdict
        assert site.versions() in ({first}, {other})
        site.must("unlock", "--yes")
        site.must("deploy", f"--ref={other}")
        assert site.versions() == {other} and site.must("status").status == 0
        assert server.on(0, lasting) == database != ""


@pytest.fixture
def published(two: Bare) -> Iterator[Bare]:
    """A container on the first server that publishes ports which nobody opened, and port 80."""
    two.load("bare-server:sysv")
    ports = "--publish 9999:7000 --publish 80:7000"
    serve = "--entrypoint socat bare-server:sysv TCP-LISTEN:7000,fork,reuseaddr SYSTEM:true"
    two.on(0, f"docker run --detach --name probe {ports} {serve}")
    until(lambda: two.connect(0, "127.0.0.1", 9999))
    yield two
    two.on(0, "docker rm --force probe")


def test_nobody_outside_reaches_more_than_was_opened(published):
    address = published.address(0)
    ports = [22, 80, 2375, 2377, 7946, 9999]
    assert published.stranger(address, *ports) == [22, 80]
    assert published.connect(1, address, *ports) == [22, 80, 2377, 7946]
    # Without the firewall, Docker lets everybody in.
    published.on(0, "nft delete table inet deploy")
    assert published.stranger(address, *ports) == [22, 80, 2377, 7946, 9999]
    assert published.inv("server.setup").status == 0
    assert published.stranger(address, *ports) == [22, 80]


def test_containers_do_not_reach_the_swarms_ports(published):
    for number in (0, 1):
        text = script(published.address(number), [22, *SWARM])
        assert published.on(0, f"docker exec --interactive probe bash -c '{text}'") == "22"


@pytest.mark.fault("somebody has changed a server by hand")
def test_what_was_changed_by_hand_is_found_and_set_up_again(two, request):
    two.on(
        0, "nft add rule inet deploy input tcp dport 9999 accept; gpasswd --delete deploy docker"
    )
    two.on(1, "rm /etc/apt/apt.conf.d/52-deploy-upgrades; echo >>/etc/deploy/firewall.nft extra")
    found = two.inv("server.check")
    see(request, found, 1, "firewall: not ours: tcp dport 9999 accept - ./inv server.setup")
    for says in ("group: deploy is not in", "not held back: ", "/etc/deploy/firewall.nft differs"):
        assert says in found.text
    assert two.inv("server.setup").status == 0
    unchanged(two)


def test_the_firewall_stays_when_a_server_or_nftables_is_restarted(two):
    rules = "nft list table inet deploy"
    held = two.on(1, rules)
    for how in ("restart", "reload", "stop", "start"):
        two.on(1, f"systemctl {how} nftables")
    until(lambda: works(lambda: two.on(1, rules))() and two.on(1, rules) == held)
    docker("restart", two.names[1])
    until(works(lambda: two.on(1, "docker version")), 60)
    assert two.on(1, rules) == held
    until(lambda: two.inv("server.check").status == 0, 60)


@pytest.mark.fault("Docker must be restarted, and containers run")
def test_an_engine_whose_containers_run_is_not_restarted(published, request):
    published.on(0, "touch /etc/docker/daemon.json")
    see(
        request,
        published.inv("server.setup"),
        2,
        "that stops its containers (1); there: sudo systemctl",
    )
    assert published.on(0, "docker ps -q -f name=probe")
    published.on(0, "systemctl restart docker")
    assert published.inv("server.check").status == 0


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bare]:
    """A server with init scripts that stays bare."""
    with bare_servers(tmp_path_factory.mktemp("one"), init="sysv") as made:
        yield made


@pytest.mark.parametrize(
    ("change", "back", "says"),
    [
        pytest.param(
            "sed -i s/NOPASSWD:// /etc/sudoers.d/ops",
            "sed -i 's/) /) NOPASSWD: /' /etc/sudoers.d/ops",
            "ops may not use sudo without a password - with visudo, add: ops ALL=",
            marks=pytest.mark.fault("server.setup where sudo wants a password"),
        ),
        pytest.param(
            "mv /usr/bin/sudo /sudo", "mv /sudo /usr/bin/sudo",
            "there is no sudo - install sudo there",
            marks=pytest.mark.fault("server.setup where there is no sudo"),
        ),
        pytest.param(
            "cp /etc/os-release /os; rm /etc/os-release; echo ID=fedora >/etc/os-release",
            "cp /os /etc/os-release", "its system (fedora) is not Debian or Ubuntu - ",
            marks=pytest.mark.fault("server.setup on another system than Debian or Ubuntu"),
        ),
        pytest.param(
            "mv /usr/sbin/update-rc.d /rc", "mv /rc /usr/sbin/update-rc.d",
            "neither systemd nor init scripts",
            marks=pytest.mark.fault("server.setup where nothing starts services"),
        ),
        pytest.param(
            """echo '{"live-restore": true}' >/etc/docker/daemon.json""", "true",
            "live-restore does not work with a Swarm - there: remove",
            marks=pytest.mark.fault("server.setup where daemon.json has live-restore"),
        ),
        pytest.param(
            "mkdir /etc/deploy; echo 'table inet x' >/etc/deploy/firewall.nft", "rm -r /etc/deploy",
            "/etc/deploy/firewall.nft was not written by us - move it away",
            marks=pytest.mark.fault("server.setup where a file of its own is somebody else's"),
        ),
    ],
)  # fmt: skip
def test_a_server_that_cannot_be_set_up_is_refused_in_a_line(one, request, change, back, says):
    one.on(0, f"cp -a /etc/docker/daemon.json /daemon; {change}; touch /mark; sleep 0.1")
    before = one.on(0, STATE)
    try:
        see(request, one.inv("server.setup"), 2, says)
        assert one.on(0, STATE) == before
    finally:
        one.on(0, f"{back}; mkdir -p /etc/docker; cp -a /daemon /etc/docker/daemon.json")


def test_a_server_that_is_half_set_up_keeps_what_others_made(tmp_path):
    daemon = {**DAEMON, "log-opts": {"max-size": "5m"}, "debug": False, "labels": ["rack=1"]}
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJx0 other"
    with bare_servers(tmp_path, init="sysv", daemon=daemon) as made:
        made.on(0, "sed -i 's/^ID=.*/ID=linuxmint\\nID_LIKE=\"ubuntu debian\"/' /etc/os-release")
        made.on(0, "useradd --create-home --shell /bin/sh deploy; mkdir ~deploy/.ssh")
        made.on(0, f"cat ~ops/.ssh/authorized_keys >~deploy/.ssh/authorized_keys; echo '{key}' "
                   ">>~deploy/.ssh/authorized_keys; chown -R deploy ~deploy/.ssh")  # fmt: skip
        made.on(0, "apt-get update >/dev/null; apt-get install -y nftables >/dev/null 2>&1")
        chain = "nft 'add chain inet other in { type filter hook input priority 0; }'"
        made.on(0, f"nft add table inet other; {chain}")
        done = made.inv("server.setup")
        assert done.status == 0, done.text
        assert "set up user" not in done.text and "set up SSH keys" not in done.text
        assert key in made.on(0, "cat ~deploy/.ssh/authorized_keys")
        kept = json.loads(made.on(0, "cat /etc/docker/daemon.json"))
        assert {**kept, **{k: v for k, v in daemon.items() if v != "CGROUP"}} == kept
        assert kept["no-new-privileges"] is True and "log-driver" not in kept
        assert "chain in" in made.on(0, "nft list table inet other")
        unchanged(made)
        made.on(0, "/etc/init.d/deploy-firewall start")
        assert made.on(0, "ls /etc/rcS.d").count("deploy-firewall") == 1


def test_docker_comes_from_its_own_repository_if_that_is_named(tmp_path):
    folder = tmp_path / "packages"
    folder.mkdir()
    with bare_servers(tmp_path) as made, docker_packages(folder, made.network) as address:
        made.more = {"server": {"docker": address}}
        made.settings()
        done = made.inv("server.setup")
        assert done.status == 0, done.text
        assert "docker-ce" in made.on(0, "dpkg-query --search $(command -v dockerd)")
        assert address in made.on(0, "cat /etc/apt/sources.list.d/deploy-docker.sources")
        unchanged(made)
