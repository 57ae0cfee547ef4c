"""An environment moves from a Swarm to a cluster, by the steps of docs/orchestrators.md."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.testbed.commands import docker
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
def cluster(swarm: Site, clustered: Exports, tmp_path: Path) -> Iterator[Site]:
    """The same project, with an environment of a cluster."""
    mine = quick(Path(clustered["INVOKE_RUNTIME_CONFIG"]), tmp_path / "cluster.yaml")
    site = Site(swarm.root, {**clustered, "INVOKE_RUNTIME_CONFIG": mine}, env="prod")
    yield site
    site.inv("destroy", "--volumes", "--yes")


def beside(node: str, container: str) -> str:
    """Put a container into a server's network as well; returns its address there."""
    known = json.loads(docker("inspect", node))[0]["NetworkSettings"]["Networks"]
    network = next(iter(known))
    docker("network", "connect", network, container)
    mine = json.loads(docker("inspect", container))[0]["NetworkSettings"]["Networks"]
    return str(mine[network]["IPAddress"])


def test_an_environment_moves_to_a_cluster_without_a_lost_request_or_row(swarm, cluster, tmp_path):
    import pyrage

    made = pyrage.x25519.Identity.generate()
    key, file = tmp_path / "key.txt", tmp_path / "secrets.age"
    key.write_text(f"{made}\n")
    commit = swarm.build("moves")
    cluster.must("build", "--push")
    cluster.mark(commit)
    with postgres(swarm.nodes["node1"]) as (address, container):
        swarm.must("secrets.set", "--random")
        swarm.must("secrets.set", "--name=DATABASE_URL", DATABASE_URL=address)
        swarm.must("deploy", f"--ref={commit}")
        inside = beside(cluster.nodes["node1"], container)
        user, _, rest = address.rpartition("@")
        with swarm.load("/", "/livez") as before:
            # 1: the secrets. The database has another address for the cluster, in these labs.
            swarm.must("secrets.export", f"--to={file}", f"--recipient={made.to_public()}")
            cluster.must("server.setup")
            cluster.must("secrets.import", f"--from={file}", f"--identity={key}")
            url = f"{user}@{inside}:{rest.partition(':')[2]}"
            cluster.must("secrets.set", "--name=DATABASE_URL", DATABASE_URL=url)
            # 2 and 3: one beat, and the same image beside the servers.
            swarm.on("node1", f"docker service scale --detach {swarm.stack}_beat=0")
            cluster.must("deploy", f"--ref={commit}", "--no-verify-url")
            # 5: visitors come to the new place, while others still have the old address.
            with cluster.load("/", "/livez") as after:
                cluster.must("manage", "check")
                before.end()
                # 6: the old place goes.
                swarm.must("destroy", "--yes")
                cluster.must("deploy", f"--ref={commit}")
        assert before.failures == after.failures == []
        assert before.done["upload"] and after.done["upload"]
        shown = docker("exec", container, "psql", "--username=postgres", "-qAtc", LOADED)
        assert shown == "|".join([str(before.done["upload"] + after.done["upload"])] * 2)
        assert cluster.versions() == {commit} and swarm.versions() == {"nothing"}
        assert cluster.must("status").status == 0
