"""An environment moves from a Swarm to a cluster, and back, as docs/orchestrators.md has it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.testbed.commands import docker
from tests.testbed.oncluster import OnCluster
from tests.testbed.sites import SLOW, Exports, Site

from .conftest import quick
from .test_external import postgres

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.cluster]
# How many links there are that a load has made, and how many different ones.
LOADED = """
SELECT count(*), count(DISTINCT target) FROM myapp_link WHERE target ~ 'example.com/[0-9.]+$'
"""


@pytest.fixture
def swarm(deployed: Site, make_clone: Callable[[Path], Path], tmp_path: Path) -> Iterator[Site]:
    """An environment of servers that was not deployed to yet, whose database is elsewhere."""
    site = Site(make_clone(tmp_path / "clone"), deployed.lab, env="staging")
    file, ours = site.root / "invoke.yaml", "POSTGRES_PASSWORD, DATABASE_PASSWORD, OWNER_PASSWORD, "
    text = file.read_text()
    assert ours in text
    file.write_text(text.replace(ours, "DATABASE_URL, "))
    site.write("myapp/urls.py", SLOW, add=True)
    yield site
    site.inv("destroy", "--volumes", "--yes")


@pytest.fixture
def cluster(swarm: Site, clustered: Exports, tmp_path: Path) -> Iterator[OnCluster]:
    """The same project, with an environment of a cluster."""
    mine = quick(Path(clustered["INVOKE_RUNTIME_CONFIG"]), tmp_path / "cluster.yaml")
    site = OnCluster(swarm.root, {**clustered, "INVOKE_RUNTIME_CONFIG": mine}, env="prod")
    yield site
    site.inv("destroy", "--volumes", "--yes")


def beside(node: str, container: str) -> str:
    """Put a container into a server's network as well; returns its address there."""
    known = json.loads(docker("inspect", node))[0]["NetworkSettings"]["Networks"]
    network = next(iter(known))
    docker("network", "connect", network, container)
    mine = json.loads(docker("inspect", container))[0]["NetworkSettings"]["Networks"]
    return str(mine[network]["IPAddress"])


def move(old: Site, new: Site, address: str, stop: Callable[[], object], key: Path) -> int:
    """Follow the steps under load; returns how many links were made.

    Args:
        address: of the database, which has another one for the new place, in these labs.
        stop: stops the former beat.
        key: the file of an identity of age.
    """
    import pyrage

    file, deploy = key.with_suffix(f".{new.env}"), ("deploy", f"--ref={old.good}")
    recipient = pyrage.x25519.Identity.from_str(key.read_text().strip()).to_public()
    with old.load("/", "/livez") as before:
        # 1: the secrets.
        old.must("secrets.export", f"--to={file}", f"--recipient={recipient}")
        new.must("server.setup")
        new.must("secrets.import", f"--from={file}", f"--identity={key}")
        new.must("secrets.set", "--name=DATABASE_URL", DATABASE_URL=address)
        # 2 and 3: one beat, and the same image beside what runs.
        stop()
        new.must(*deploy, "--no-verify-url")
        # 5: visitors come to the new place, while others still have the old address.
        with new.load("/", "/livez") as after:
            new.must("manage", "check")
            before.end()
            # 6: the old place goes.
            old.must("destroy", "--yes")
            new.must(*deploy)
    assert before.failures == after.failures == []
    assert before.done["upload"] and after.done["upload"]
    assert new.versions() == {old.good} and old.versions() == {"nothing"}
    assert new.must("status").status == 0
    return before.done["upload"] + after.done["upload"]


def test_an_environment_moves_to_a_cluster_and_back_without_a_lost_request_or_row(
    swarm, cluster, tmp_path
):
    import pyrage

    key = tmp_path / "key.txt"
    key.write_text(f"{pyrage.x25519.Identity.generate()}\n")
    swarm.good = cluster.good = swarm.build("moves")
    cluster.must("build", "--push")
    cluster.mark(swarm.good)
    with postgres(swarm.nodes["node1"]) as (address, container):
        swarm.must("secrets.set", "--random")
        swarm.must("secrets.set", "--name=DATABASE_URL", DATABASE_URL=address)
        swarm.must("deploy", f"--ref={swarm.good}")
        user, _, rest = address.rpartition("@")
        there = beside(cluster.nodes["node1"], container)
        inside = f"{user}@{there}:{rest.partition(':')[2]}"
        scale = f"docker service scale --detach {swarm.stack}_beat=0"
        links = move(swarm, cluster, inside, lambda: swarm.on("node1", scale), key)
        words = ("scale", "deployment/beat", "--replicas=0")
        links += move(cluster, swarm, address, lambda: cluster.kubectl(*words), key)
        shown = docker("exec", container, "psql", "--username=postgres", "-qAtc", LOADED)
        assert shown == f"{links}|{links}"
