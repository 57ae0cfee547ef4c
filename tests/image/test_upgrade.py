"""A database's move from PostgreSQL 17 to 18, on its own volume, and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest

from tasks.lib.app import compose
from tests.testbed import postgres
from tests.testbed.commands import ROOT, docker, until, works
from tests.testbed.databases import PASSWORD, World

from .data_world import TABLES

pytestmark = [pytest.mark.engine, pytest.mark.slow]
FOLDER = "/var/lib/postgresql/data"
LOGIN = "CREATE ROLE app_user_v1 LOGIN PASSWORD 'its-password'; GRANT app_user TO app_user_v1;"
FACTS = "SELECT count(*) || ' ' || sum(id) FROM notes"


class Upgraded(World):
    """A database of 17, and the tools of 18."""

    def server(self, image: str, volume: str) -> None:
        """Start a server in the place of the one that there is."""
        docker("rm", "--force", f"{self.mark}-db")
        env = ["POSTGRES_USER=app", "POSTGRES_DB=app", f"POSTGRES_PASSWORD={PASSWORD}"]
        words = [f"--env={each}" for each in (*env, f"PGDATA={FOLDER}")]
        words += [f"--volume={self.mark}-{volume}:{FOLDER}", "--network-alias=db", "--detach"]
        docker("run", *words, f"--network={self.mark}", f"--name={self.mark}-db", image)
        until(works(lambda: self.sql("SELECT 1", "postgres")), 60)
        ready = ["pg_isready", "--host=127.0.0.1", "--quiet"]
        until(works(lambda: docker("exec", f"{self.mark}-db", *ready)), 60)

    def closed(self) -> bool:
        """Whether the site answers 503."""
        return bool(self.shell("ls -A /srv/static", f"--volume={self.mark}-static:/srv/static"))

    def names(self) -> set[str]:
        """The databases."""
        return {*self.sql("SELECT datname FROM pg_database", "postgres").split()}


@pytest.fixture(scope="module")
def images(mark: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    base = postgres.ensure(tmp_path_factory.mktemp("base"))
    words = ["--quiet", "--file=docker/data.Dockerfile", f"--build-arg=DATABASE={base}"]
    docker("build", *words, f"--tag={mark}:data18", ROOT)
    yield f"{mark}:data18"
    docker("image", "rm", "--force", f"{mark}:data18")


@pytest.fixture
def world(mark: str, images: str, tmp_path: Path) -> Iterator[Upgraded]:
    own = f"{mark}-{tmp_path.name[-8:].strip('-_')}".lower()
    docker("network", "create", f"--label={mark}", own)
    env = {
        "POSTGRES_USER": "app", "POSTGRES_DB": "app", "PGDATA": FOLDER, "BACKUP_KEEP": "2",
        "BACKUP_DAYS": "0", "BACKUP_RECIPIENTS": "",
    }  # fmt: skip
    rights = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")
    options = [f"--cap-add={each}" for each in rights] + [f"--volume={own}-new:{FOLDER}"]
    identity = pyrage.x25519.Identity.generate()
    made = Upgraded(own, images, tmp_path, identity, env, options=options)
    try:
        made.server("postgres:17-trixie", "old")
        made.sql(TABLES + LOGIN)
        yield made
    finally:
        docker("rm", "--force", "--volumes", f"{own}-db", f"{own}-tools")
        volumes = (f"{own}-{disk}" for disk in ("backups", "static", "old", "new"))
        docker("volume", "rm", "--force", *volumes)
        docker("network", "rm", own)


def test_a_database_moves_with_its_rows_and_roles_and_the_old_one_stays(world):
    rows = world.sql(FACTS)
    rehearsed = world.do("move")
    assert (rehearsed["tables"], rehearsed["rows"]) == (2, 2030)
    assert rehearsed["version"].startswith("18")
    assert not world.closed()
    world.sql("INSERT INTO notes (text) VALUES ('after the rehearsal')")
    moved = world.do("move", "last")
    assert moved["rows"] == 2031
    assert world.closed()
    assert "app" not in world.names()
    world.server(postgres.NAME, "new")
    world.do("reopen")
    assert not world.closed()
    assert world.sql("SHOW server_version").startswith("18")
    assert world.sql(FACTS) != rows
    assert world.sql("SELECT count(*) FROM notes") == "2001"
    assert world.sql("SELECT count(*) FROM pg_largeobject_metadata") == "1"
    world.sql("INSERT INTO notes (text) VALUES ('next')")
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'app'"
    assert world.sql(owner) == "app_owner"
    login = "PGPASSWORD=its-password psql --host=127.0.0.1 --username=app_user_v1 --dbname=app -c"
    docker("exec", f"{world.mark}-db", "sh", "-c", f"{login} 'SELECT count(*) FROM notes'")
    # The way back: the old server with the old volume, whose database the service opens again.
    world.server("postgres:17-trixie", "old")
    assert "app" not in world.names()
    service = world.begin("schedule", "86400", "{}")
    until(lambda: "app" in world.names())
    docker("stop", f"{world.mark}-tools")
    service.communicate(timeout=60)
    assert world.sql("SELECT count(*) FROM notes") == "2001"


def test_an_upgrade_that_was_cut_off_opens_the_old_database_again_after_a_while(world):
    world.do("move", "last")
    service = world.begin("schedule", "86400", "{}")
    until(lambda: "no recipients" in world.log(), 60)
    assert world.closed()
    assert "app" not in world.names()
    world.shell("touch -d '1 hour ago' /backups/upgrading")
    until(lambda: "app" in world.names())
    until(lambda: not world.closed())
    docker("stop", f"{world.mark}-tools")
    service.communicate(timeout=60)
    assert world.sql("SELECT count(*) FROM notes") == "2000"


def test_a_database_that_the_new_server_cannot_have_stays_as_it_is(world):
    world.sql("CREATE DATABASE other TEMPLATE template0 LOCALE 'C'", "postgres")
    other = {**world.env, "POSTGRES_DB": "other"}
    world.env = other
    assert "has the locale" in world.fails("move", "last")
    assert not world.closed()
    assert {"app", "other"} <= world.names()


def test_a_backup_of_the_older_version_is_restored_into_the_newer_one(world):
    world.env = {**world.env, "BACKUP_RECIPIENTS": str(world.identity.to_public())}
    name = world.backup()
    world.do("move", "last")
    world.server(postgres.NAME, "new")
    world.do("reopen")
    found = world.do("beside", name, key=world.key(name))
    assert (found["tables"], found["rows"]) == (2, 2030)
    granted = "SELECT has_table_privilege('app_user', 'notes', 'SELECT')"
    assert world.sql(granted, found["database"]) == "t"


def test_a_copy_of_the_older_version_is_loaded_into_a_newer_one_here(world):
    reader = str(world.identity.to_public())
    copy, plain = world.folder / "copy.age", world.folder / "copy"
    made = world.do("copy", reader)
    world.shell(f"cp {made['file']} /out/copy.age", f"--volume={world.folder}:/out")
    plain.write_bytes(pyrage.decrypt(copy.read_bytes(), [world.identity]))
    # As the backend for the app in Docker has it.
    here = f"{world.mark}-here"
    env = [f"--env={each}" for each in ("POSTGRES_USER=app", "POSTGRES_DB=app")]
    trust = "--env=POSTGRES_HOST_AUTH_METHOD=trust"
    docker("run", "--detach", f"--name={here}", *env, trust, postgres.NAME)
    try:
        until(works(lambda: docker("exec", here, "pg_isready", "--host=127.0.0.1")), 60)
        docker("cp", str(plain), f"{here}:{compose.PULLED}")
        docker("exec", here, "sh", "-ec", compose.LOAD, compose.PORTABLE.read_text())
        asked = f"{FACTS}; SHOW server_version; SELECT count(*) FROM pg_largeobject_metadata"
        shown = docker("exec", here, "psql", "-U", "app", "-d", "app", "-qAtc", asked).splitlines()
        assert shown[0] == world.sql(FACTS)
        assert shown[1].startswith("18")
        assert shown[2] == "1"
        assert "pulled" not in docker("exec", here, "ls", "/var/lib/postgresql")
        # A copy that was cut off is an error, and not half a database.
        plain.write_bytes(plain.read_bytes()[:2000])
        docker("cp", str(plain), f"{here}:{compose.PULLED}")
        with pytest.raises(RuntimeError, match="pg_restore"):
            docker("exec", here, "sh", "-ec", compose.LOAD, compose.PORTABLE.read_text())
    finally:
        docker("rm", "--force", "--volumes", here)


def test_tools_that_are_older_than_the_server_make_no_backup(world, data_image):
    world.image, world.env = data_image, {**world.env, "BACKUP_RECIPIENTS": "age1a"}
    world.server(postgres.NAME, "new")
    assert "server version mismatch" in world.fails("make")
    assert world.do("list")["backups"] == []
