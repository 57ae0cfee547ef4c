"""Servers that several environments share: their own nodes, ports, images and dumps."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.testbed.commands import until
from tests.testbed.sites import Site

from .trouble import another, forget_slow, slow, state, stopped

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def changed(site: Site, folder: Path, hosts: Sequence[str] = (), **values: int) -> Site:
    """The same environment with some other values, and perhaps other servers."""
    content = copy.deepcopy(site.settings)
    entry = content["environments"][site.env]
    entry["values"] |= values
    entry["hosts"] = [*hosts] or entry["hosts"]
    file = folder / "changed.yaml"
    file.write_text(yaml.safe_dump(content))
    return site.at(site.env, INVOKE_RUNTIME_CONFIG=str(file))


@pytest.fixture
def staging(site: Site) -> Iterator[Site]:
    """An environment that nothing was deployed to; what is left of it is removed."""
    made = site.at("staging")
    made.wipe()
    made.set_up()
    yield made
    made.must("server.setup")
    made.must("destroy", "--volumes", "--yes")


def volumes(site: Site) -> set[str]:
    """The servers that have volumes of an environment."""
    script = f"docker volume ls -q -f name=^{site.stack}_"
    return {node for node in site.nodes if site.on(node, script)}


def label(site: Site, node: str, change: str) -> None:
    """Change the label of an environment's server."""
    site.on("node1", f"docker node update {change} {node}")


@pytest.mark.fault("an environment's server has lost its label")
def test_an_environment_stays_on_its_own_servers_and_leaves_nothing_unsaid(
    site, staging, fault, tmp_path
):
    hosts = site.settings["environments"]["staging"]["hosts"]
    few = changed(staging, tmp_path, hosts=hosts[:2], REPLICAS=4)
    assert "node3: no longer a server of myapp-staging" in few.must("server.setup").text
    assert "ready, nothing to do" in few.must("server.setup").text

    few.must("deploy", f"--ref={site.good}")
    shown = site.on("node1", f"docker stack ps {few.stack} --format '{{{{.Node}}}}'")
    assert set(shown.split()) == volumes(few) == {"node1", "node2"}

    label(few, "node2", f"--label-rm {few.stack}.server")
    done = few.inv("deploy", f"--ref={another(site)}")
    fault(done, status=2, serves=site.good, where=few)
    assert f"its node lacks the label {few.stack}.server=yes" in done.verdict
    assert "inv server.setup --env=staging" in done.verdict
    assert ": a server of myapp-staging" in few.must("server.setup").text
    assert few.inv("preflight", f"--ref={site.good}").status == 0

    left = few.inv("destroy", "--volumes", "--yes")
    assert left.status == 3
    assert "volumes of myapp-staging stay on node3" in left.verdict
    assert volumes(few) == set()
    assert few.services() == []
    label(few, "node3", f"--label-rm {few.stack}.server")
    assert few.must("destroy", "--volumes", "--yes").status == 0
    assert few.stack not in site.on("node1", "docker node inspect $(docker node ls -q)")


@pytest.mark.fault("an environment is destroyed while a server is away")
def test_volumes_on_a_server_that_is_down_are_named_and_go_later(site, staging, fault):
    staging.must("deploy", f"--ref={site.good}")
    assert "node3" in volumes(staging)
    with stopped(site, "node3"):
        until(lambda: state(site, "node3") == "down", 60)
        done = staging.inv("destroy", "--volumes", "--yes")
        fault(done, status=3, serves="nothing", where=staging)
        assert "volumes of myapp-staging stay on node3, which is down" in done.verdict
        assert "node2" not in done.verdict
    until(lambda: state(site, "node3") == "ready", 60)
    until(lambda: not site.on("node3", f"docker ps -aq -f name={staging.stack}_"), 60)
    staging.must("destroy", "--volumes", "--yes")
    assert volumes(staging) == set()
    until(lambda: site.inv("status").status == 0, 90)


@contextmanager
def listening(site: Site, port: int) -> Iterator[None]:
    """A process of the first server has a port."""
    site.on("node1", f"socat TCP-LISTEN:{port},fork /dev/null >/dev/null 2>&1 & echo $! >/tmp/pid")
    try:
        until(lambda: f":{port:04X} " in site.on("node1", "cat /proc/net/tcp /proc/net/tcp6"))
        yield
    finally:
        site.on("node1", "kill $(cat /tmp/pid)")


@pytest.mark.fault("another environment has the port")
def test_a_port_of_another_environment_is_refused_at_once(site, staging, fault, tmp_path):
    port = site.settings["environments"][site.env]["values"]["HTTP_PORT"]
    before = staging.services()
    same = changed(staging, tmp_path, HTTP_PORT=port)
    done = same.inv("deploy", f"--ref={site.good}")
    fault(done, status=2, serves="nothing", where=staging)
    assert f"port {port}/tcp of node1 is taken by {site.stack} - choose another" in done.verdict
    assert done.seconds < 20
    assert staging.services() == before
    assert same.inv("preflight", f"--ref={site.good}").status == 2


@pytest.mark.fault("another process has the port")
def test_a_port_of_another_process_is_refused_at_once(site, staging, fault):
    port = staging.settings["environments"]["staging"]["values"]["HTTP_PORT"]
    with listening(site, port):
        done = staging.inv("deploy", f"--ref={site.good}")
    fault(done, status=2, serves="nothing", where=staging)
    assert f"port {port}/tcp of node1 is taken by another process" in done.verdict
    web = "docker run --detach --rm --name web --entrypoint sleep --publish"
    image = site.on("node1", "docker ps --format '{{.Image}}' | grep -m 1 redis")
    site.on("node1", f"{web} {port}:80 {image.strip()} 300")
    try:
        done = staging.inv("preflight", f"--ref={site.good}")
    finally:
        site.on("node1", "docker rm --force web")
    assert f"port {port}/tcp of node1 is taken by container web" in done.verdict
    assert staging.inv("preflight", f"--ref={site.good}").status == 0


def test_one_port_for_two_purposes_is_refused(site, staging, tmp_path):
    port = staging.settings["environments"]["staging"]["values"]["HTTP_PORT"]
    same = changed(staging, tmp_path, HTTPS_PORT=port)
    done = same.inv("preflight", f"--ref={site.good}")
    assert done.status == 2
    assert f"port {port}/tcp is published twice" in done.verdict


def test_its_own_ports_are_no_problem(site):
    assert site.inv("preflight", f"--ref={site.good}").status == 0


def image(site: Site, node: str, digest: str) -> str:
    """An image on a server; empty if it is not there."""
    name = site.registry.image.at(digest)
    return site.on(node, f"docker image inspect --format '{{{{.Id}}}}' {name} 2>/dev/null || true")


def test_a_deploy_deletes_old_images_of_ours_alone(site):
    unneeded = site.registry.digest(site.build("never deployed"))
    remembered = site.registry.digest(site.good)
    others = "docker images --format '{{.Repository}}' | grep -vc /myapp || true"
    before = site.on("node2", others)
    for node in site.nodes:
        site.on(node, pull(site, unneeded))
        assert image(site, node, unneeded)
    tagged = site.registry.image.at(unneeded)
    site.on("node3", f"docker tag {tagged} kept-by-hand")

    new = another(site)
    assert "could not be removed" not in site.must("deploy", f"--ref={new}").text

    found = {node: bool(image(site, node, unneeded)) for node in site.nodes}
    assert found == {"node1": False, "node2": False, "node3": True}
    assert image(site, "node1", remembered)
    assert site.on("node2", others) == before
    assert "postgres" in site.on("node1", "docker images")
    site.on("node3", "docker rmi kept-by-hand")
    site.must("rollback")
    site.serves(site.good)


def pull(site: Site, digest: str) -> str:
    """The command that pulls an image on a server."""
    user, password = site.lab["CI_REGISTRY_USER"], site.lab["CI_REGISTRY_PASSWORD"]
    host, name = site.registry.image.host, site.registry.image.at(digest)
    login = f"echo {password} | docker login --username {user} --password-stdin {host}"
    return f"{login} >/dev/null 2>&1 && docker pull --quiet {name} && docker logout {host}"


def inside(site: Site, script: str) -> str:
    """What a shell script prints in the database's container."""
    return site.on(
        "node1", f"docker exec $(docker ps -q -f name={site.stack}_db.) sh -c '{script}'"
    )


def test_a_backup_deletes_older_dumps_and_status_shows_what_there_is(
    site: Site, named: Callable[[], set[str]]
):
    forget_slow(site)
    for name in ("20200101T000000Z", "20200102T000000Z", "by-hand"):
        inside(site, f"touch -d 2020-01-03 /backups/{name}.dump")
    known = named()
    site.must("deploy", f"--ref={slow(site)}", INVOKE_DEPLOY_BACKUPS="1")
    forget_slow(site)
    dumps = {each.removesuffix(".dump") for each in inside(site, "ls /backups").split()}
    newest = site.history()[0]["backup"]
    assert dumps == {newest, "by-hand", *known}

    run = site.must("status")
    assert f"backups: {len(dumps)}, " in run.text
    assert "the newest 0 min old" in run.text
    assert "server" in run.text and "at most" in run.text
    print(f"status took {run.seconds:.1f} s")


@pytest.fixture
def named(site: Site) -> Callable[[], set[str]]:
    """The dumps that the history names, and that are there."""

    def find() -> set[str]:
        there = {each.removesuffix(".dump") for each in inside(site, "ls /backups").split()}
        return there & {record["backup"] for record in site.history()}

    return find
