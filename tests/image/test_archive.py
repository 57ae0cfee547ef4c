"""Continuous archiving on a real database, and restores of it to points in time."""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest

from tests.testbed.commands import ROOT, docker, until, works
from tests.testbed.databases import ACCESS, PASSWORD, SECRET, SECRETS, World

pytestmark = [pytest.mark.engine, pytest.mark.slow]
KEY = "a-key-of-the-archive"
# Each row knows when it was committed.
TABLES = """
CREATE ROLE app_owner NOLOGIN;
CREATE TABLE writes (id bigserial PRIMARY KEY, text text DEFAULT repeat('words of a row ', 9));
ALTER TABLE writes OWNER TO app_owner;
INSERT INTO writes SELECT FROM generate_series(1, 500);
"""
ROWS = "SELECT count(*) || ' ' || coalesce(sum(id), 0) || ' ' || coalesce(max(id), 0) FROM writes"
NOW = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US') || 'Z'"
# A certificate for the name of the storage, of an authority of its own.
CERTIFICATE = (
    "cd /ca && openssl req -x509 -newkey rsa:2048 -noenc -days 2 -subj /CN=s3 -keyout key.pem "
    "-out ca.crt -addext subjectAltName=DNS:s3 && chmod 644 *"
)
OPTIONS = ["-c", "track_commit_timestamp=on"]


class Archived(World):
    """A database with an archive, and its tools."""

    def database(self) -> None:
        """Start a database server on the volume, which may be a new one."""
        place = self.folder / "secrets"
        place.mkdir(exist_ok=True)
        for name, value in self.secrets.items():
            (place / name).write_text(value)
        volumes = {f"{self.mark}-db": "/var/lib/postgresql/data", str(place): "/run/secrets:ro"}
        words = [f"--volume={each}:{where}" for each, where in volumes.items()]
        words += [f"--env={key}={value}" for key, value in self.env.items()]
        words += [each for each in self.options if not each.startswith("--cap-add")]
        words += [
            "--network-alias=db",
            "--env=ARCHIVE_QUEUE=3",
            f"--env=POSTGRES_PASSWORD={PASSWORD}",
        ]
        own = [f"--name={self.mark}-db", f"--network={self.mark}", "--detach"]
        docker("run", *own, *words, f"{self.image}base", "postgres", *OPTIONS)
        until(works(lambda: self.sql("SELECT 1")), 60)
        docker("exec", f"{self.mark}-db", "pg_isready", "--host=127.0.0.1", "--quiet")

    def destroy(self) -> None:
        """Remove the database with its volume."""
        docker("rm", "--force", "--volumes", f"{self.mark}-db")
        docker("volume", "rm", "--force", f"{self.mark}-db")

    def based(self, kind: str = "full") -> None:
        """Have the service make a base backup, as when it starts."""
        service = self.begin("schedule", "86400", "{}")
        try:
            until(lambda: f"{kind} base backup in" in self.log(), 90)
        finally:
            docker("stop", f"{self.mark}-tools")
            service.communicate(timeout=60)

    def archive(self, script: str) -> str:
        """What a script prints where the volume of the archive is."""
        return self.shell(script, f"--volume={self.mark}-archive:/archive")

    def count(self) -> int:
        """How many rows there are."""
        return int(self.sql("SELECT count(*) FROM writes"))

    def committed(self, until: str) -> str:
        """The rows that were committed until a time."""
        return self.sql(f"{ROWS} WHERE pg_xact_commit_timestamp(xmin) <= '{until}'")


@pytest.fixture(scope="module")
def images(mark: str) -> Iterator[str]:
    tag = f"{mark}:archive"
    words = ["build", "--quiet", "--file=docker/data.Dockerfile", ROOT]
    docker(*words, f"--tag={tag}base", "--target=database")
    docker(*words, f"--tag={tag}", "--target=data")
    yield tag
    docker("image", "rm", "--force", tag, f"{tag}base")


def storage(own: str, image: str, folder: Path) -> dict[str, str]:
    """Start S3-compatible storage with TLS; gives the variables for it."""
    shell = ["--rm", f"--volume={folder}:/ca", "--entrypoint=sh", image, "-c"]
    docker("run", *shell, CERTIFICATE)
    serve = "mkdir -p /s3/bucket; exec rclone serve s3 --addr :9000 --cert /ca/ca.crt "
    serve += f"--key /ca/key.pem --auth-key {ACCESS},{SECRET} /s3"
    place = [f"--name={own}-s3", f"--network={own}", "--network-alias=s3", "--detach"]
    docker("run", *place, *shell[1:], serve)
    return {
        "PGBACKREST_REPO1_TYPE": "s3", "PGBACKREST_REPO1_PATH": "/prod/archive",
        "PGBACKREST_REPO1_S3_BUCKET": "bucket", "PGBACKREST_REPO1_S3_REGION": "us-east-1",
        "PGBACKREST_REPO1_S3_ENDPOINT": "https://s3:9000",
        "PGBACKREST_REPO1_STORAGE_CA_FILE": "/ca/ca.crt",
        "BACKUP_STORAGE": "s3://bucket/prod", "RCLONE_S3_ENDPOINT": "https://s3:9000",
        "RCLONE_CA_CERT": "/ca/ca.crt",
    }  # fmt: skip


@pytest.fixture(params=["volume", "s3"])
def world(
    request: pytest.FixtureRequest, mark: str, images: str, tmp_path: Path
) -> Iterator[Archived]:
    own = f"{mark}-{uuid.uuid4().hex[:6]}"
    identity, authority = pyrage.x25519.Identity.generate(), tmp_path / "ca"
    authority.mkdir()
    env = {
        "POSTGRES_USER": "app", "POSTGRES_DB": "app", "BACKUP_KEEP": "2", "BACKUP_DAYS": "0",
        "BACKUP_RECIPIENTS": str(identity.to_public()), "PGBACKREST_REPO1_TYPE": "posix",
        "PGBACKREST_REPO1_PATH": "/archive/repository", "PGBACKREST_REPO1_RETENTION_FULL": "7",
    }  # fmt: skip
    docker("network", "create", f"--label={mark}", own)
    if request.param == "s3":
        env |= storage(own, images, authority)
    more = [f"--volume={own}-archive:/archive", f"--volume={authority}:/ca:ro"]
    more += ["--cap-add=SETUID", "--cap-add=SETGID"]
    secrets = SECRETS | {"ARCHIVE_KEY": KEY}
    made = Archived(own, images, tmp_path, identity, env, secrets, more)
    try:
        made.database()
        made.sql(TABLES)
        yield made
    finally:
        docker("rm", "--force", "--volumes", f"{own}-db", f"{own}-s3", f"{own}-tools")
        disks = ("backups", "static", "archive", "db")
        docker("volume", "rm", "--force", *(f"{own}-{disk}" for disk in disks))
        docker("network", "rm", own)


only_volume = pytest.mark.parametrize("world", ["volume"], indirect=True)


def test_a_restore_to_the_second_before_a_delete_has_exactly_the_rows_of_then(world):
    world.based()
    script = "INSERT INTO writes DEFAULT VALUES;"
    bench = (
        f"echo '{script}' >/tmp/w.sql; exec pgbench -U app -n -c 3 -T 60 -R 300 -f /tmp/w.sql app"
    )
    load = subprocess.Popen(["docker", "exec", f"{world.mark}-db", "sh", "-c", bench])
    until(lambda: world.count() > 800)
    second = world.sql(NOW)
    world.sql(f"SELECT pg_sleep_until('{second}'::timestamptz + interval '1 s')")
    expected = world.committed(second)
    world.sql("DELETE FROM writes")
    deleted = world.sql(NOW)
    until(lambda: world.count() > 100)
    # The writers go on meanwhile.
    found = world.do("at", second)
    load.kill()
    assert world.sql(ROWS, found["database"]) == expected
    assert found["rows"] == int(expected.split()[0]) > 700
    assert found["reached"][:19] <= second.replace("T", " ")[:19]
    # And right after the DELETE, none of them is there.
    after = world.do("at", deleted)
    assert int(world.sql(ROWS, after["database"]).split()[0]) < 300
    world.do("swap", found["database"])
    assert world.sql(ROWS) == expected
    owner = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'writes'"
    assert world.sql(owner) == "app_owner"
    left = world.archive("ls /archive; ls /backups")
    assert "scratch" not in left
    # What has recovered never archives: there is no second timeline.
    assert world.archive("find /archive -name '00000002*'") == ""
    assert "archive.key.age" in left


def test_a_new_server_restores_what_the_lost_one_has_archived(world):
    world.based()
    # So long may what was written last be lost with the server.
    assert world.sql("SHOW archive_timeout") == "1min"
    world.sql("INSERT INTO writes SELECT FROM generate_series(1, 100)")
    lost, moment = world.sql(ROWS), world.sql(NOW)
    world.sql("SELECT pg_switch_wal()")
    until(lambda: world.do("state")["archive"]["waiting"] == 0)
    world.destroy()
    world.database()
    world.sql(TABLES)
    world.based()
    found = world.do("at", moment)
    assert world.sql(ROWS, found["database"]) == lost != world.sql(ROWS)
    world.do("drop", found["database"])
    # The new one has an archive of its own.
    assert world.do("prove", "latest")["rows"] == 500
    assert world.do("kept") == []
    assert world.do("state")["proof"]["rows"] == 500


@only_volume
def test_what_cannot_be_archived_does_not_fill_the_disk_and_is_said(world):
    world.based()
    there = "cd /archive; mv repository away; touch repository"
    docker("exec", f"{world.mark}-db", "sh", "-c", there)
    segment = "INSERT INTO writes SELECT FROM generate_series(1, 50); SELECT pg_switch_wal()"
    for _ in range(8):
        world.sql(segment)
    state = until(lambda: _state(world, "dropped"), 60)
    assert state["waiting"] <= 5
    assert state["failed"]
    docker("exec", f"{world.mark}-db", "sh", "-c", "cd /archive; rm repository; mv away repository")
    until(lambda: _state(world, "dropped") and not _state(world, "waiting"), 120)
    world.based("full")
    assert not world.do("state")["archive"]["dropped"]
    rows, moment = world.sql(ROWS), world.sql(NOW)
    world.sql("DELETE FROM writes")
    assert world.sql(ROWS, world.do("at", moment)["database"]) == rows


def _state(world: Archived, key: str) -> dict[str, int]:
    """What the database says of its archive, if it has that."""
    found = world.do("state")["archive"]
    return found if found[key] else {}


@only_volume
def test_a_gap_in_the_archive_is_said_and_what_is_before_it_is_restored(world):
    world.based()
    rows, before = world.sql(ROWS), world.sql(NOW)
    insert = "INSERT INTO writes SELECT FROM generate_series(1, 50)"
    switch = "SELECT pg_walfile_name(pg_switch_wal())"
    world.sql(f"{insert}; {switch}")
    world.sql(insert)
    lost = world.sql(switch)
    world.sql(insert)
    after = world.sql(NOW)
    world.sql(switch)
    until(lambda: world.do("state")["archive"]["waiting"] == 0, 60)
    found = world.archive(f"find /archive -name '{lost}*' -print -delete")
    assert lost in found
    assert "the archive ends at" in world.fails("at", after)
    assert world.do("kept") == []
    assert world.sql(ROWS, world.do("at", before)["database"]) == rows


@only_volume
def test_a_database_that_was_dropped_is_restored_as_of_before(world):
    world.based()
    rows, moment = world.sql(ROWS), world.sql(NOW)
    # Recovery stops where the first later transaction ends; a DROP removes files before its end.
    world.sql("INSERT INTO writes DEFAULT VALUES")
    world.sql("DROP DATABASE app WITH (FORCE)", "postgres")
    dropped = world.sql(NOW, "postgres")
    found = world.do("at", moment)
    world.do("swap", found["database"])
    assert world.sql(ROWS) == rows
    assert "take an earlier time" in world.fails("at", dropped)
    assert all("_before_" in name for name in world.do("kept"))
    assert world.sql(ROWS) == rows


@only_volume
def test_what_no_restore_can_reach_is_refused_before_anything_is_changed(world):
    begun = world.sql(NOW)
    assert "has no base backup" in world.fails("at", begun)
    world.based()
    assert "the archive begins at" in world.fails("at", begun)
    assert "is in the future" in world.fails("at", "2099-01-01T00:00:00+00:00")
    assert world.do("kept") == []


@only_volume
def test_nothing_of_the_archive_is_plain(world):
    world.based()
    world.do("prove", "latest")
    words = f"words of a row|{KEY}"
    place = f"--volume={world.mark}-archive:/archive"
    shown = world.shell(f"grep -rlE '{words}' /archive /backups || echo none", place)
    assert shown == "none"
    key = base64.b64decode(world.shell("base64 --wrap=0 /backups/archive.key.age"))
    assert pyrage.decrypt(key, [world.identity]).decode() == KEY


@only_volume
def test_a_killed_restore_leaves_no_server_and_the_next_one_begins_anew(world):
    world.based()
    moment = world.sql(NOW)
    process = world.begin("at", moment)
    until(lambda: "scratch" in world.archive("ls /archive"), 60)
    docker("kill", f"{world.mark}-tools")
    process.communicate(timeout=60)
    assert world.do("at", moment)["rows"] == 500
    assert "scratch" not in world.archive("ls /archive")
