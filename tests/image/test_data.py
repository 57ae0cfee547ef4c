"""Backups on a real database, volume and S3 server: written, read back, restored, swapped."""

from __future__ import annotations

import json
import re
import subprocess
import time

import pyrage  # type: ignore[import-untyped]
import pytest

from tests.testbed.commands import ROOT, docker, until
from tests.testbed.databases import PASSWORD, World

pytestmark = pytest.mark.engine
WIDE = (
    "CREATE TABLE wide AS SELECT md5(n::text) || md5((-n)::text) || md5((n * 7)::text) AS t "
    "FROM generate_series(1, 200000) n"
)


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
    ((kept, until),) = world.do("state")["kept"].items()
    assert kept == swapped["kept"]
    assert abs(until - time.time() - 7 * 24 * 60 * 60) < 120
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
def test_a_backup_is_readable_without_these_tools_as_the_manual_says(world):
    uploads(world, "mkdir -p /srv/media/a; echo Hello >/srv/media/a/note")
    name = world.backup()
    (world.folder / "key.txt").write_text(f"{world.identity}\n")
    (block,) = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs/data.md").read_text(), re.M | re.S)
    where = [f"--volume={world.folder}/key.txt:/k/key.txt:ro", f"--network={world.mark}"]
    where += ["--env=PGHOST=db", "--env=PGUSER=app", f"--env=PGPASSWORD={PASSWORD}"]
    script = f"set -e; cp /backups/{name}/* /k/key.txt /tmp; cd /tmp; mkdir MEDIA; {block}"
    shown = world.shell(f"{script}cat MEDIA/a/note", *where)
    manifest = json.loads(world.shell(f"cat /backups/{name}/manifest.json"))
    assert all(each["sha256"] in shown for each in manifest["files"].values())
    assert shown.endswith("Hello")
    assert world.sql("SELECT count(*) FROM notes", "NEW") == "2000"
    owner = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'notes'"
    assert world.sql(owner, "NEW") == "app_owner"


def uploads(world: World, script: str) -> str:
    """Have files that users have uploaded; returns the option that mounts them."""
    media = f"--volume={world.mark}-media:/srv/media"
    rights = (f"--cap-add={each}" for each in ("CHOWN", "DAC_OVERRIDE", "FOWNER"))
    world.options = [media, *rights]
    world.shell(script, media)
    return media


def test_nothing_of_a_backup_is_plain(world):
    world.backup()
    secrets = "text text|AGE-SECRET|PASSWORD"
    assert world.shell(f"grep -rlE '{secrets}' /backups || echo none") == "none"


def test_uploaded_files_come_back_and_none_is_overwritten_or_deleted(world):
    media = uploads(
        world,
        "cd /srv/media; mkdir -p 'a b'; for n in 1 2 3; do echo $n >\"a b/$n räksmörgås\"; done; "
        "chown -R 10001:10001 .; chmod 600 'a b'/*",
    )
    name = world.backup()
    (made,) = world.do("list")["backups"]
    assert made["uploads"] == 3
    assert world.shell(f"grep -c räksmörgås /backups/{name}/media.tar.age || true") == "0"
    # What a killed restore has left is no file of a user's.
    left = "mkdir /srv/media/.restored; echo half >/srv/media/.restored/1"
    change = "cd '/srv/media/a b'; rm 1*; echo new >'2 räksmörgås'; echo later >later"
    world.shell(f"{left}; {change}", media)
    assert world.do("uploads", name, key=world.key(name)) == {"restored": 1, "surplus": 1}
    shown = world.shell("cd '/srv/media/a b'; cat *; stat -c %u:%a 1*; ls -A ..", media)
    assert shown.split() == ["1", "new", "3", "later", "10001:600", "a", "b"]
    # A drill reads them, too.
    world.do("drill", name, key=world.key(name))
    world.shell(f"""sed -i 's/"uploads": 3/"uploads": 4/' /backups/{name}/manifest.json""")
    why = world.fails("drill", name, key=world.key(name))
    assert f"{name} has 3 uploaded files instead of 4" in why


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("truncate -s 5000 database.dump.age", "database.dump.age is damaged: 5000 of"),
        ("printf x | dd of=database.dump.age bs=1 seek=900 conv=notrunc 2>&1", "is damaged"),
        ("rm roles.sql.age", "roles.sql.age is missing"),
        ("""sed -i 's/"version": "17/"version": "99/' manifest.json""", "newer than this one, 17"),
        ("""sed -i 's/"plpgsql"/"postgis"/' manifest.json""", "lacks the extensions postgis"),
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


def test_a_database_that_a_restore_has_kept_goes_after_a_week(world):
    days = "SELECT to_char(now() AT TIME ZONE 'UTC' - interval '%s', 'YYYYMMDD\"t\"HH24MISS\"z\"')"
    old, new = (f"app_before_{world.sql(days % age)}" for age in ("7 days 1 min", "6 days 23 h"))
    others = ["another_before_20200101t000000z", "app_before_noon"]
    for name in (old, new, *others):
        world.sql(f"CREATE DATABASE {name}")
    world.backup()
    names = world.sql("SELECT datname FROM pg_database").split()
    assert old not in names
    assert {new, *others} <= {*names}


def test_each_reader_opens_a_backup_also_with_a_key_of_ssh(world):
    file = world.folder / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    public = file.with_suffix(".pub").read_text().strip()
    world.env["BACKUP_RECIPIENTS"] += f"\n{public}"
    name = world.backup()
    key = world.key(name)
    world.identity = pyrage.ssh.Identity.from_buffer(file.read_bytes())
    assert world.key(name) == key


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
    script = "touch /backups/.lock; flock /backups/.lock sleep 60"
    holder = docker("run", "--detach", f"--volume={world.mark}-backups:/backups",
                    "--entrypoint=sh", world.image, "-c", script)  # fmt: skip
    try:
        until(lambda: world.shell("flock -n /backups/.lock true || echo held") == "held")
        assert "another backup or restore is running" in world.fails("make")
        assert world.do("state") == {}
    finally:
        docker("rm", "--force", holder)


@pytest.mark.slow
def test_a_full_disk_is_seen_before_anything_is_written(world):
    world.sql(WIDE)
    kind = [f"--opt={each}" for each in ("type=tmpfs", "device=tmpfs", "o=size=1m")]
    docker("volume", "create", *kind, f"{world.mark}-small")
    assert "disk full: a backup needs" in world.fails("make", disk="small")


@pytest.mark.slow
def test_a_disk_that_gets_full_while_a_backup_is_written_has_nothing_of_it(world):
    # What cannot be made smaller has more bytes than are expected of it.
    random = "decode(string_agg(replace(gen_random_uuid()::text, '-', ''), ''), 'hex')"
    rows = f"SELECT (SELECT {random} FROM generate_series(1, 60) WHERE n > 0)"
    world.sql(f"CREATE TABLE a AS {rows} FROM generate_series(1, 20000) n")
    size = int(world.sql("SELECT pg_database_size('app')")) * 6 // 10 + 2**20
    kind = [f"--opt={each}" for each in ("type=tmpfs", "device=tmpfs", f"o=size={size}")]
    docker("volume", "create", *kind, f"{world.mark}-small")
    # A tmpfs is there as long as somebody uses it.
    held = f"{world.mark}-held"
    docker("run", "--detach", f"--name={held}", f"--volume={world.mark}-small:/backups",
           "--entrypoint=sleep", world.image, "300")  # fmt: skip
    try:
        assert "No space left on device" in world.fails("make", disk="small")
        assert "No space left" in world.do("state", disk="small")["why"]
        assert docker("exec", held, "ls", "/backups") == "state.json"
    finally:
        docker("rm", "--force", held)


@pytest.mark.slow
def test_a_sequence_that_was_behind_stops_no_restore(world):
    world.sql("INSERT INTO notes (id, text) VALUES (5000, 'by hand')")
    name = world.backup()
    found = world.do("drill", name, key=world.key(name))
    assert (found["rows"], found["behind"]) == (2031, ["notes_id_seq"])


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
    world.do("release", '{"release": 7, "revision": "4f2a9c1", "why": "noted"}')
    service = world.begin("schedule", "86400", '{"why": "schedule"}')
    until(lambda: "good" in world.shell("cat /backups/state.json 2>/dev/null || true"), 60)
    docker("stop", f"{world.mark}-tools")
    out, _ = service.communicate(timeout=60)
    (made,) = world.do("list")["backups"]
    assert (made["release"], made["revision"], made["why"]) == (7, "4f2a9c1", "schedule")
    assert f"backup {made['name']} in " in out
