"""A database that is elsewhere: the stack has none, and the app uses the one of DATABASE_URL."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.testbed import clones
from tests.testbed.commands import docker, until
from tests.testbed.sites import Site

from .test_data_plane import MIGRATION

# What an operator does for a role that reads and writes data.
ROLE = """
CREATE ROLE web LOGIN PASSWORD 'web';
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO web;
GRANT SELECT, USAGE ON ALL SEQUENCES IN SCHEMA public TO web;
ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO web;
ALTER DEFAULT PRIVILEGES GRANT SELECT, USAGE ON SEQUENCES TO web;
"""
pytestmark = [pytest.mark.engine, pytest.mark.slow]


@contextmanager
def postgres(server: str) -> Iterator[tuple[str, str]]:
    """A PostgreSQL beside a server; gives its superuser's address of it, and its container."""
    name, password = f"elsewhere-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    node = json.loads(docker("inspect", server))[0]
    network = next(iter(node["NetworkSettings"]["Networks"]))
    docker(
        "run", "--detach", "--name", name, "--network", network,
        "--env", f"POSTGRES_PASSWORD={password}", "postgres:17-trixie",
    )  # fmt: skip
    ready = "pg_isready --host=127.0.0.1 || true"
    try:
        until(lambda: "accepting" in docker("exec", name, "sh", "-c", ready))
        mine = json.loads(docker("inspect", name))[0]["NetworkSettings"]["Networks"][network]
        yield f"postgres://postgres:{password}@{mine['IPAddress']}:5432/postgres", name
    finally:
        docker("rm", "--force", "--volumes", name)


@pytest.fixture
def database(deployed: Site) -> Iterator[str]:
    """The address of a PostgreSQL beside the servers, outside their Swarm."""
    with postgres(deployed.nodes["node1"]) as (address, _):
        yield address


def test_the_app_uses_the_database_of_the_secret(
    deployed: Site, make_clone: Callable[[Path], Path], tmp_path: Path, database: str
):
    site = Site(make_clone(tmp_path / "clone"), deployed.lab, env="staging")
    file = site.root / "invoke.yaml"
    text = file.read_text()
    ours = "POSTGRES_PASSWORD, DATABASE_PASSWORD, OWNER_PASSWORD, "
    assert f"secrets: [SECRET_KEY, {ours}" in text
    file.write_text(text.replace(ours, "DATABASE_URL, "))
    commit = site.build("a database elsewhere")
    site.must("secrets.set", "--random")
    site.must("secrets.set", "--name=DATABASE_URL", DATABASE_URL=database)
    done = site.must("deploy", f"--ref={commit}")
    assert "no backup before migrating" in done.text
    assert site.versions() == {commit}
    services = site.must("status").text.split("\n\n")[0]
    assert not any(line.startswith("db ") for line in services.splitlines())

    # Two roles: one that migrates, and one that cannot.
    file.write_text(text.replace(ours, "DATABASE_URL, OWNER_URL, "))
    clones.commit(site.root, "two roles")
    _, _, rest = database.partition("@")
    server = docker("ps", "-q", "--filter", "name=elsewhere-")
    psql = ["exec", "--interactive", server, "psql", "-U", "postgres", "-qAtv", "ON_ERROR_STOP=1"]
    docker(*psql, text=ROLE)
    site.must("secrets.set", "--name=OWNER_URL", OWNER_URL=database)
    site.must("secrets.set", "--name=DATABASE_URL", DATABASE_URL=f"postgres://web:web@{rest}")
    newest = max(file.stem for file in (site.root / "myapp/migrations").glob("0*.py"))
    files = {"=myapp/migrations/9000_made.py": MIGRATION.format(before=newest)}
    commit = site.build("a table elsewhere", files)
    site.must("deploy", f"--ref={commit}")
    assert site.versions() == {commit}
    shown = docker(*psql, text="SELECT tableowner FROM pg_tables WHERE tablename = 'made';")
    assert shown == "postgres"
    uses = "SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'web';"
    until(lambda: site.get("/")[0] == 200 and docker(*psql, text=uses) == "t", 30)
