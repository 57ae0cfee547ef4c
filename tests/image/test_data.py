"""Backups on a real database, volume and S3 server: written, read back, restored, swapped."""

from __future__ import annotations

import base64
import json
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyrage  # type: ignore[import-untyped]
import pytest

from tests.testbed.commands import ROOT, docker, until

pytestmark = pytest.mark.engine
DISKS = ("backups", "static", "small")
Process = subprocess.Popen[str]
PASSWORD, ACCESS, SECRET = "a-password-1", "an-access-key", "a-secret-key"
SECRETS = {
    "POSTGRES_PASSWORD": PASSWORD,
    "BACKUP_ACCESS_KEY_ID": ACCESS,
    "BACKUP_SECRET_ACCESS_KEY": SECRET,
}
TABLES = """
CREATE ROLE app_owner NOLOGIN; CREATE ROLE app_user NOLOGIN;
ALTER DATABASE app OWNER TO app_owner;
CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL);
ALTER TABLE notes OWNER TO app_owner;
CREATE TABLE "Odd name" (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, notes_id int REFERENCES notes
);
ALTER TABLE "Odd name" OWNER TO app_owner;
GRANT SELECT ON notes TO app_user;
INSERT INTO notes (text) SELECT repeat('text ', 20) || n FROM generate_series(1, 2000) n;
INSERT INTO "Odd name" (notes_id) SELECT 7 FROM generate_series(1, 30);
SELECT lo_from_bytea(0, 'a large object');
"""
WIDE = (
    "CREATE TABLE wide AS SELECT md5(n::text) || md5((-n)::text) || md5((n * 7)::text) AS t "
    "FROM generate_series(1, 200000) n"
)


@dataclass
class World:
    """A database, a volume for backups, S3-compatible storage, and who may read the backups."""

    mark: str
    image: str
    folder: Path
    identity: Any
    env: dict[str, str]
    secrets: dict[str, str] = field(default_factory=lambda: {**SECRETS})
    options: Sequence[str] = ()

    def begin(self, *words: str, key: str = "", disk: str = "backups", **env: str) -> Process:
        """Start the tools in a container of their own.

        Args:
            key: the key of one backup.
            disk: the volume with the backups.
        """
        place = self.folder / uuid.uuid4().hex
        place.mkdir()
        for name, value in (self.secrets | ({"BACKUP_KEY": key} if key else {})).items():
            (place / name).write_text(value)
        volumes = {f"{self.mark}-{disk}": "/backups", f"{self.mark}-static": "/srv/static"}
        volumes[f"{place}"] = "/run/secrets:ro"
        options = [f"--volume={each}:{where}" for each, where in volumes.items()]
        options += [f"--env={name}={value}" for name, value in {**self.env, **env}.items()]
        options += ["--rm", f"--label={self.mark}", f"--network={self.mark}", "--cap-drop=ALL"]
        options += self.options
        return subprocess.Popen(
            ["docker", "run", *options, f"--name={self.mark}-tools", self.image, *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def fails(self, *words: str, **more: str) -> str:
        """Run the tools, which fail; return the line that says why."""
        process = self.begin(*words, **more)
        _, said = process.communicate(timeout=300)
        assert process.returncode == 1, said
        (line,) = said.splitlines()
        return line

    def do(self, *words: str, **more: str) -> Any:
        """Run the tools; return what they have done. Raises AssertionError if they fail."""
        process = self.begin(*words, **more)
        out, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
        return json.loads(out.splitlines()[-1])["done"]

    def sql(self, text: str, database: str = "app") -> str:
        """What statements print."""
        words = ["psql", "-U", "app", "-d", database, "-qAt", "-v", "ON_ERROR_STOP=1"]
        return docker("exec", "--interactive", f"{self.mark}-db", *words, text=text)

    def backup(self) -> str:
        """Make a backup; return its name."""
        return str(self.do("make")["name"])

    def key(self, name: str) -> str:
        """The key of one backup, as its readers get it."""
        found = {each["name"]: each for each in self.do("list")["backups"]}
        return pyrage.decrypt(base64.b64decode(found[name]["key"]), [self.identity]).decode()

    def shell(self, script: str, *options: str) -> str:
        """What a script prints where the volume of the backups is."""
        volumes = [f"--volume={self.mark}-backups:/backups", *options, "--entrypoint=sh"]
        return docker("run", "--rm", *volumes, self.image, "-c", script)


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
    until(lambda: not made.do("list")["problem"], 60)
    made.sql(TABLES)
    try:
        yield made
    finally:
        docker("rm", "--force", "--volumes", f"{own}-db", f"{own}-s3")
        docker("volume", "rm", "--force", *(f"{own}-{disk}" for disk in DISKS))
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
    assert "none that a restore has made" in world.fails("drop", "app")


def test_everything_is_restored_from_the_storage_alone(world):
    made = world.do("make")
    world.shell("rm -r /backups/*")
    assert world.do("list")["backups"][0]["places"] == ["storage"]
    new = world.do("drill", made["name"], key=world.key(made["name"]))
    assert new["rows"] == 2030
    assert world.do("kept") == []
    assert world.do("state")["drilled"] == made["name"]


@pytest.mark.slow
def test_a_backup_is_readable_with_age_and_pg_restore_alone(world):
    name = world.backup()
    (world.folder / "id").write_text(world.key(name))
    script = f"age -d -i /id /backups/{name}/database.dump.age | pg_restore --list"
    shown = world.shell(script, f"--volume={world.folder}/id:/id:ro")
    assert "TABLE DATA public notes app_owner" in shown


def test_nothing_of_a_backup_is_plain(world):
    world.backup()
    secrets = "text text|AGE-SECRET|PASSWORD"
    assert world.shell(f"grep -rlE '{secrets}' /backups || echo none") == "none"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("truncate -s 5000 database.dump.age", "database.dump.age is damaged: 5000 of"),
        ("printf x | dd of=database.dump.age bs=1 seek=900 conv=notrunc 2>&1", "is damaged"),
        ("rm roles.sql.age", "roles.sql.age is missing"),
    ],
)
def test_a_damaged_backup_is_not_restored(world, damage, why):
    name = world.backup()
    key = world.key(name)
    world.shell(f"cd /backups/{name} && {damage}")
    assert why in world.fails("beside", name, key=key)
    assert world.do("kept") == []


@pytest.mark.parametrize("scrub", [(), ("UPDATE notes SET text = 'none'",)])
def test_a_copy_is_for_its_reader_and_leaves_no_database(world, scrub):
    reader = str(pyrage.x25519.Identity.generate().to_public())
    made = world.do("copy", reader, *scrub)
    assert made["size"] > 1000
    assert world.do("kept") == []
    world.do("forget")
    assert world.shell("ls /backups | grep copy || echo none") == "none"


@pytest.mark.slow
def test_a_foreign_key_restores_nothing(world):
    name = world.backup()
    why = world.fails("beside", name, key=str(pyrage.x25519.Identity.generate()))
    assert "no identity matched" in why
    assert world.shell("ls /backups | grep plain || echo none") == "none"


@pytest.mark.slow
def test_a_backup_with_other_rows_than_it_says_is_not_restored(world):
    name = world.backup()
    key = world.key(name)
    world.shell(f"""sed -i 's/"public.notes": 2000/"public.notes": 2001/' /backups/{name}/*.json""")
    assert "public.notes had 2001, has 2000" in world.fails("beside", name, key=key)
    assert world.do("kept") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env", "why"),
    [
        ({"RCLONE_S3_ENDPOINT": "http://s3:9"}, "connection refused"),
        ({"BACKUP_STORAGE": "s3://nowhere/prod"}, "NoSuchBucket"),
    ],
)
def test_storage_that_is_gone_fails_the_backup_and_keeps_the_old_ones(world, env, why):
    old = {world.backup(), world.backup()}
    assert why in world.fails("make", **env)
    assert old <= {each["name"] for each in world.do("list")["backups"]}
    assert why in world.do("state")["why"]
    # A deploy's has to be on the server only.
    assert why in world.do("dump", **env)["problems"][0]


def test_old_backups_go_after_a_good_one_and_what_others_wrote_stays(world):
    world.shell("mkdir -p /backups/mine; touch /backups/mine/a.dump")
    names = [world.backup() for _ in range(3)]
    left = [each["name"] for each in world.do("list")["backups"]]
    assert left == [names[2], names[1]]
    assert world.shell("ls /backups/mine") == "a.dump"


@pytest.mark.slow
def test_a_killed_backup_is_none_and_the_next_one_removes_what_it_left(world):
    held = subprocess.Popen(
        ["docker", "exec", f"{world.mark}-db", "psql", "-U", "app", "-d", "app", "-qc",
         "LOCK TABLE notes; SELECT pg_sleep(300)"],
    )  # fmt: skip
    process = world.begin("make")
    until(lambda: "part" in world.shell("ls /backups"))
    docker("kill", f"{world.mark}-tools")
    process.communicate(timeout=60)
    assert world.do("list")["backups"] == []
    world.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LOCK%'")
    held.wait(60)
    name = world.backup()
    assert world.shell("ls /backups").split() == [name, "state.json"]


@pytest.mark.slow
def test_two_backups_at_once_are_one(world):
    script = "touch /backups/.lock; flock /backups/.lock sleep 4"
    holder = docker("run", "--rm", "--detach", f"--volume={world.mark}-backups:/backups",
                    "--entrypoint=sh", world.image, "-c", script)  # fmt: skip
    until(lambda: world.shell("flock -n /backups/.lock true || echo held") == "held")
    assert "another backup or restore is running" in world.fails("make")
    docker("wait", holder)


@pytest.mark.slow
def test_a_full_disk_is_seen_before_anything_is_written(world):
    world.sql(WIDE)
    kind = [f"--opt={each}" for each in ("type=tmpfs", "device=tmpfs", "o=size=1m")]
    docker("volume", "create", *kind, f"{world.mark}-small")
    assert "disk full: a backup needs" in world.fails("make", disk="small")


@pytest.mark.slow
def test_a_database_that_is_no_more_than_an_empty_one_is_backed_up_as_such(world):
    world.sql('DROP TABLE "Odd name"; DROP TABLE notes;')
    name = world.backup()
    assert world.do("drill", name, key=world.key(name))["tables"] == 0


@pytest.mark.slow
def test_the_service_opens_the_site_again_after_a_swap_was_killed(world):
    name = world.backup()
    world.do("beside", name, key=world.key(name))
    world.sql("ALTER DATABASE app ALLOW_CONNECTIONS false", "postgres")
    world.shell(
        "touch /srv/static/.closed /backups/left.plain", f"--volume={world.mark}-static:/srv/static"
    )
    service = world.begin("schedule", "86400", "{}")
    allowed = "SELECT datallowconn FROM pg_database WHERE datname = 'app'"
    until(lambda: world.sql(allowed, "postgres") == "t")
    docker("stop", f"{world.mark}-tools")
    service.communicate(timeout=60)
    static = f"--volume={world.mark}-static:/srv/static"
    assert world.shell("ls -A /srv/static; ls /backups | grep plain || true", static) == ""


@pytest.mark.slow
def test_a_schedule_makes_a_backup_when_it_is_time(world):
    service = world.begin("schedule", "86400", '{"why": "schedule"}')
    until(lambda: world.shell("cat /backups/*/manifest.json 2>/dev/null || true"), 60)
    docker("stop", f"{world.mark}-tools")
    out, _ = service.communicate(timeout=60)
    (made,) = world.do("list")["backups"]
    assert made["why"] == "schedule"
    assert f"backup {made['name']} in " in out
