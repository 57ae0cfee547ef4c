"""Backups on a real database, volume and S3 server: written, read back, restored, swapped."""

from __future__ import annotations

import base64
import json
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage  # type: ignore[import-untyped]
import pytest

from tests.testbed.commands import ROOT, docker, until

pytestmark = pytest.mark.engine
PASSWORD, ACCESS, SECRET = "a-password-1", "an-access-key", "a-secret-key"
TABLES = """
CREATE ROLE app_owner NOLOGIN; CREATE ROLE app_user NOLOGIN;
ALTER DATABASE app OWNER TO app_owner;
CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL); ALTER TABLE notes OWNER TO app_owner;
CREATE TABLE "Odd name" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, notes_id int REFERENCES notes);
ALTER TABLE "Odd name" OWNER TO app_owner;
GRANT SELECT ON notes TO app_user;
INSERT INTO notes (text) SELECT repeat('text ', 20) || n FROM generate_series(1, 2000) n;
INSERT INTO "Odd name" (notes_id) SELECT 7 FROM generate_series(1, 30);
SELECT lo_from_bytea(0, 'a large object');
"""


@dataclass
class World:
    """A database, a volume for backups, S3-compatible storage, and who may read the backups."""

    mark: str
    image: str
    folder: Path
    identity: Any
    env: dict[str, str]

    def run(self, *words: str, key: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        """Run the tools in a container of their own."""
        secrets = {
            "POSTGRES_PASSWORD": PASSWORD, "S3_ACCESS_KEY_ID": ACCESS, "S3_SECRET_ACCESS_KEY": SECRET,
        }  # fmt: skip
        secrets |= {"BACKUP_KEY": key} if key else {}
        place = self.folder / uuid.uuid4().hex
        place.mkdir()
        for name, value in secrets.items():
            (place / name).write_text(value)
        variables = [f"--env={name}={value}" for name, value in {**self.env, **env}.items()]
        options = ["--rm", f"--label={self.mark}", f"--network={self.mark}", "--cap-drop=ALL"]
        options += [
            f"--volume={self.mark}-backups:/backups",
            f"--volume={self.mark}-static:/srv/static",
        ]
        return subprocess.run(
            ["docker", "run", *options, f"--volume={place}:/run/secrets:ro", *variables, self.image, *words],
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    def do(self, *words: str, **more: str) -> Any:
        """Run the tools; return what they have done. Raises AssertionError if they fail."""
        done = self.run(*words, **more)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])["done"]

    def sql(self, text: str, database: str = "app") -> str:
        """What statements print."""
        words = [
            "exec",
            "--interactive",
            f"{self.mark}-db",
            "psql",
            "-U",
            "app",
            "-d",
            database,
            "-qAt",
        ]
        return docker(*words, "-v", "ON_ERROR_STOP=1", text=text)

    def key(self, name: str) -> str:
        """The key of one backup, as its readers get it."""
        found = {each["name"]: each for each in self.do("list")["backups"]}
        return pyrage.decrypt(base64.b64decode(found[name]["key"]), [self.identity]).decode()

    def shell(self, script: str) -> str:
        """What a script prints where the volume of the backups is."""
        return docker(
            "run",
            "--rm",
            f"--volume={self.mark}-backups:/backups",
            "--entrypoint=sh",
            self.image,
            "-c",
            script,
        )


@pytest.fixture(scope="module")
def data_image(mark: str) -> Iterator[str]:
    tag = f"{mark}:data"
    docker("build", "--quiet", "--file=docker/data.Dockerfile", f"--tag={tag}", ROOT)
    yield tag
    docker("image", "rm", "--force", tag)


@pytest.fixture
def world(mark: str, data_image: str, tmp_path: Path) -> Iterator[World]:
    own = f"{mark}-{uuid.uuid4().hex[:6]}"
    identity = pyrage.x25519.Identity.generate()
    env = {
        "POSTGRES_USER": "app", "POSTGRES_DB": "app", "BACKUP_KEEP": "2", "BACKUP_DAYS": "0",
        "BACKUP_RECIPIENTS": str(identity.to_public()), "BACKUP_STORAGE": "s3://bucket/prod",
        "RCLONE_S3_ENDPOINT": "http://s3:8080",
    }  # fmt: skip
    docker("network", "create", f"--label={mark}", own)
    label = [f"--label={mark}", f"--network={own}", "--detach"]
    database = [
        "--env=POSTGRES_USER=app",
        "--env=POSTGRES_DB=app",
        f"--env=POSTGRES_PASSWORD={PASSWORD}",
    ]
    docker("run", *label, f"--name={own}-db", "--network-alias=db", *database, "postgres:17-trixie")
    serve = ["--entrypoint=sh", data_image, "-c"]
    store = (
        f"mkdir -p /s3/bucket; exec rclone serve s3 --addr :8080 --auth-key {ACCESS},{SECRET} /s3"
    )
    docker("run", *label, f"--name={own}-s3", "--network-alias=s3", *serve, store)
    made = World(own, data_image, tmp_path, identity, env)
    made.mark = own
    until(lambda: _answers(made), 60)
    made.sql(TABLES)
    try:
        yield made
    finally:
        docker("rm", "--force", "--volumes", f"{own}-db", f"{own}-s3")
        docker("volume", "rm", "--force", f"{own}-backups", f"{own}-static")
        docker("network", "rm", own)


def _answers(world: World) -> bool:
    try:
        docker(
            "exec",
            f"{world.mark}-db",
            "pg_isready",
            "--host=127.0.0.1",
            "--username=app",
            "--quiet",
        )
        return world.sql("SELECT 1") == "1"
    except RuntimeError:
        return False


def test_a_backup_is_restored_beside_the_database_and_takes_its_place(world):
    made = world.do("make", '{"release": 3}')
    world.sql('DELETE FROM notes WHERE id <> 7; DROP TABLE "Odd name";')
    (first,) = world.do("list")["backups"]
    assert (first["name"], first["release"], first["places"]) == (
        made["name"],
        3,
        ["volume", "storage"],
    )
    new = world.do("beside", made["name"], key=world.key(made["name"]))
    assert (new["tables"], new["rows"]) == (2, 2030)
    assert world.sql("SELECT count(*) FROM notes") == "1"
    swapped = world.do("swap", new["database"])
    assert swapped["seconds"] < 5
    assert world.sql("SELECT count(*) FROM notes") == "2000"
    assert (
        world.sql("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'notes'")
        == "app_owner"
    )
    assert world.sql("SELECT has_table_privilege('app_user', 'notes', 'SELECT')") == "t"
    world.sql("INSERT INTO notes (text) VALUES ('next')")
    # And back again.
    kept = world.do("undo")["kept"]
    assert world.sql("SELECT count(*) FROM notes") == "1"
    assert world.do("kept") == [kept]
    world.do("drop", kept)
    assert world.do("kept") == []
    assert "none that a restore has made" in world.run("drop", "app").stderr


def test_everything_is_restored_from_the_storage_alone(world):
    made = world.do("make")
    world.shell("rm -r /backups/*")
    assert world.do("list")["backups"][0]["places"] == ["storage"]
    new = world.do("drill", made["name"], key=world.key(made["name"]))
    assert new["rows"] == 2030
    assert world.do("kept") == []
    assert world.do("state")["drilled"] == made["name"]


def test_a_backup_is_readable_with_age_and_pg_restore_alone(world):
    name = world.do("make")["name"]
    (world.folder / "id").write_text(world.key(name))
    script = f"age -d -i /id /backups/{name}/database.dump.age | pg_restore --list"
    shown = docker(
        "run", "--rm", f"--volume={world.mark}-backups:/backups", f"--volume={world.folder}/id:/id:ro",
        "--entrypoint=sh", world.image, "-c", script,
    )  # fmt: skip
    assert "TABLE DATA public notes app_owner" in shown


def test_nothing_of_a_backup_is_plain(world):
    world.do("make")
    assert world.shell("grep -rlE 'text text|AGE-SECRET|PASSWORD' /backups || echo none") == "none"


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("truncate -s 5000 database.dump.age", "database.dump.age is damaged: 5000 of"),
        ("printf x | dd of=database.dump.age bs=1 seek=900 conv=notrunc 2>/dev/null", "is damaged"),
        ("rm roles.sql.age", "roles.sql.age is missing"),
    ],
)
def test_a_damaged_backup_is_not_restored(world, damage, why):
    name = world.do("make")["name"]
    key = world.key(name)
    world.shell(f"cd /backups/{name} && {damage}")
    done = world.run("beside", name, key=key)
    assert (done.returncode, why in done.stderr) == (1, True), done.stderr
    assert world.do("kept") == []


def test_a_foreign_key_restores_nothing(world):
    name = world.do("make")["name"]
    done = world.run("beside", name, key=str(pyrage.x25519.Identity.generate()))
    assert done.returncode == 1
    assert "no identity matched" in done.stderr
    assert world.shell("ls /backups | grep plain || echo none") == "none"


@pytest.mark.parametrize(
    ("env", "why"),
    [
        ({"RCLONE_S3_ENDPOINT": "http://s3:9"}, "connection refused"),
        ({"BACKUP_STORAGE": "s3://nowhere/prod"}, "NoSuchBucket"),
    ],
)
def test_storage_that_is_gone_fails_the_backup_and_keeps_the_old_ones(world, env, why):
    old = [world.do("make")["name"] for _ in range(2)]
    done = world.run("make", **env)
    assert done.returncode == 1
    assert why in done.stderr
    known = {each["name"]: each["places"] for each in world.do("list")["backups"]}
    assert {*old} <= known.keys()
    assert why in world.do("state")["why"]


def test_old_backups_go_after_a_good_one_and_what_others_wrote_stays(world):
    world.shell("mkdir -p /backups/mine; touch /backups/mine/a.dump")
    names = [world.do("make")["name"] for _ in range(3)]
    left = [each["name"] for each in world.do("list")["backups"]]
    assert left == [names[2], names[1]]
    assert world.shell("ls /backups/mine") == "a.dump"


def test_what_a_killed_backup_leaves_is_removed(world):
    world.shell("mkdir -p /backups/20260101T000000Z.part; touch /backups/20260101T000000Z.part/x")
    world.do("make")
    assert world.shell("ls /backups | grep part || echo none") == "none"


def test_a_full_disk_is_seen_before_anything_is_written(world):
    script = "from collections import namedtuple; import shutil"
    assert script
    world.sql(
        "CREATE TABLE wide AS SELECT repeat(md5(n::text), 100) AS t FROM generate_series(1, 40000) n"
    )
    docker(
        "volume",
        "create",
        "--driver=local",
        "--opt=type=tmpfs",
        "--opt=device=tmpfs",
        "--opt=o=size=1m",
        f"{world.mark}-small",
    )
    try:
        done = subprocess.run(
            ["docker", "run", "--rm", f"--network={world.mark}", f"--volume={world.mark}-small:/backups",
             f"--env=BACKUP_RECIPIENTS={world.env['BACKUP_RECIPIENTS']}", "--env=POSTGRES_USER=app",
             "--env=POSTGRES_DB=app", f"--volume={_secret(world)}:/run/secrets:ro", world.image, "make"],
            capture_output=True, text=True, timeout=100,
        )  # fmt: skip
        assert done.returncode == 1
        assert "disk full: a backup needs" in done.stderr
    finally:
        docker("volume", "rm", "--force", f"{world.mark}-small")


def _secret(world: World) -> Path:
    place = world.folder / "secret"
    place.mkdir()
    (place / "POSTGRES_PASSWORD").write_text(PASSWORD)
    return place
