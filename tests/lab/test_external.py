"""A database that is elsewhere: the stack has none, and the app uses the one of DATABASE_URL."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.testbed.commands import docker, until
from tests.testbed.sites import Site

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture
def database(deployed: Site) -> Iterator[str]:
    """The address of a PostgreSQL beside the servers, outside their Swarm."""
    name, password = f"elsewhere-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    node = json.loads(docker("inspect", deployed.nodes["node1"]))[0]
    network = next(iter(node["NetworkSettings"]["Networks"]))
    docker(
        "run", "--detach", "--name", name, "--network", network,
        "--env", f"POSTGRES_PASSWORD={password}", "postgres:17-trixie",
    )  # fmt: skip
    ready = "pg_isready --host=127.0.0.1 || true"
    try:
        until(lambda: "accepting" in docker("exec", name, "sh", "-c", ready))
        mine = json.loads(docker("inspect", name))[0]["NetworkSettings"]["Networks"][network]
        yield f"postgres://postgres:{password}@{mine['IPAddress']}:5432/postgres"
    finally:
        docker("rm", "--force", "--volumes", name)


def test_the_app_uses_the_database_of_the_secret(
    deployed: Site, make_clone: Callable[[Path], Path], tmp_path: Path, database: str
):
    site = Site(make_clone(tmp_path / "clone"), deployed.lab, env="staging")
    file = site.root / "invoke.yaml"
    text = file.read_text()
    assert "secrets: [SECRET_KEY, POSTGRES_PASSWORD]" in text
    file.write_text(text.replace("POSTGRES_PASSWORD]", "DATABASE_URL]"))
    commit = site.build("a database elsewhere")
    site.must("secrets.set", "--name=SECRET_KEY", "--random")
    site.must("secrets.set", "--name=DATABASE_URL", DATABASE_URL=database)
    done = site.must("deploy", f"--ref={commit}")
    assert "no backup before migrating" in done.text
    assert site.versions() == {commit}
    services = site.must("status").text.split("\n\n")[0]
    assert not any(line.startswith("db ") for line in services.splitlines())
