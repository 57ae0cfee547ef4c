"""Backups that were fetched by hand, databases of a provider, and copies of named columns."""

from __future__ import annotations

import json
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest

from tests.testbed.databases import World

pytestmark = [pytest.mark.engine, pytest.mark.slow]
NOWHERE = {"BACKUP_STORAGE": ""}
# What an operator gives: a database, and a role that owns it and has no other right.
PROVIDER = """
CREATE ROLE boss LOGIN PASSWORD 'a boss';
CREATE ROLE web LOGIN PASSWORD 'web';
CREATE DATABASE shop OWNER boss;
"""
SHOP = """
SET ROLE boss;
CREATE TABLE orders (id serial PRIMARY KEY, text text);
INSERT INTO orders (text) SELECT n FROM generate_series(1, 50) n;
GRANT SELECT ON orders TO web;
"""


def fetched(world: World, name: str) -> Path:
    """The tar of a backup's folder, fetched by hand."""
    file = world.folder / f"{name}.tar"
    world.shell(f"tar -C /backups/{name} -cf /out/{name}.tar .", f"--volume={world.folder}:/out")
    # Flat, as the tasks send it.
    world.shell(
        f"cd /tmp; tar -xf /out/{name}.tar; tar -cf /out/{name}.tar manifest.json *.age",
        f"--volume={world.folder}:/out",
    )
    return file


def test_a_fetched_backup_is_taken_in_and_restored_without_the_storage(world):
    name = world.backup()
    key, file = world.key(name), fetched(world, name)
    world.shell("rm -r /backups/*")
    with file.open("rb") as source:
        assert world.do("receive", name, source=source, **NOWHERE) == name
    assert world.do("drill", name, key=key, **NOWHERE)["rows"] == 2030
    # Once more, also where the one that is there is damaged.
    world.shell(f"truncate -s 10 /backups/{name}/database.dump.age")
    with file.open("rb") as source:
        world.do("receive", name, source=source, **NOWHERE)
    assert world.do("drill", name, key=key, **NOWHERE)["rows"] == 2030


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("truncate -s 6000 {}", "not all of the backup has come|is damaged|is missing"),
        ("printf x | dd of={} bs=1 seek=5000 conv=notrunc 2>/dev/null", "is damaged"),
        ("truncate -s 0 {}", "not all of the backup has come|manifest"),
    ],
)
def test_a_fetched_backup_that_is_not_whole_leaves_nothing(world, damage, why):
    name = world.backup()
    file = fetched(world, name)
    world.shell("rm -r /backups/*")
    world.shell(damage.format(f"/out/{name}.tar"), f"--volume={world.folder}:/out")
    with file.open("rb") as source:
        said = world.fails("receive", name, source=source)
    assert any(each in said for each in why.split("|")), said
    assert world.shell("ls /backups") == ""


def test_another_backup_of_the_same_name_is_not_overwritten(world):
    name = world.backup()
    file = fetched(world, name)
    world.shell(f"""sed -i 's/"kind": "backup"/"kind": "other"/' /backups/{name}/manifest.json""")
    with file.open("rb") as source:
        assert "another backup of this name" in world.fails("receive", name, source=source)
    assert "other" in world.shell(f"cat /backups/{name}/manifest.json")


def test_a_database_of_a_provider_is_restored_once_its_role_has_the_rights(world):
    world.sql(PROVIDER)
    world.sql(SHOP, "shop")
    world.secrets["DATABASE_URL"] = "postgres://boss:a%20boss@db:5432/shop?sslmode=prefer"
    name = world.backup()
    key = world.key(name)
    world.sql("DELETE FROM orders", "shop")
    said = world.fails("drill", name, key=key)
    assert said.endswith("its operator has to run: ALTER ROLE boss CREATEDB")
    world.sql("ALTER ROLE boss CREATEDB")
    assert world.do("drill", name, key=key)["rows"] == 50
    # A swap ends the app's sessions; the line is what the operator has to run.
    said = world.fails("beside", name, key=key)
    assert said.endswith("its operator has to run: GRANT pg_signal_backend TO boss")
    world.sql(said.partition("has to run: ")[2])
    held = world.sessions("web", "shop")
    new = world.do("beside", name, key=key)["database"]
    world.do("swap", new)
    assert held.wait(60) != 0
    assert world.sql("SELECT count(*) FROM orders", "shop") == "50"
    assert world.sql("SELECT has_table_privilege('web', 'orders', 'SELECT')", "shop") == "t"
    # What restores of others have kept on the same server is theirs.
    for other in ("shop_eu_before_20991231t000000z", "app_before_20991231t000000z"):
        world.sql(f"CREATE DATABASE {other} OWNER boss")
        assert "none that a restore has made" in world.fails("drop", other)
    kept = world.do("undo")["kept"]
    assert world.sql("SELECT count(*) FROM orders", "shop") == "0"
    assert world.do("kept") == [kept]


def test_roles_that_a_provider_has_to_make_are_named_by_the_restore(world):
    world.sql(PROVIDER + "ALTER ROLE boss CREATEDB; GRANT pg_signal_backend TO boss")
    world.sql(SHOP, "shop")
    world.secrets["DATABASE_URL"] = "postgres://boss:a%20boss@db:5432/shop"
    name = world.backup()
    key = world.key(name)
    world.sql("DROP OWNED BY web; DROP ROLE web", "shop")
    said = world.fails("beside", name, key=key)
    assert said.endswith("its operator has to run: CREATE ROLE web")
    assert world.do("kept") == []
    world.sql("CREATE ROLE web")
    new = world.do("beside", name, key=key)["database"]
    assert world.sql("SELECT has_table_privilege('web', 'orders', 'SELECT')", new) == "t"


def test_a_role_that_may_not_read_all_makes_no_backup(world):
    world.sql(PROVIDER)
    world.sql(SHOP, "shop")
    world.sql("CREATE TABLE others (a int)", "shop")
    world.secrets["DATABASE_URL"] = "postgres://boss:a%20boss@db:5432/shop"
    assert "permission denied for table others" in world.fails("make")
    assert world.do("list")["backups"] == []
    assert world.shell("ls /backups") == "state.json"


def test_rows_that_are_hidden_from_a_role_fail_its_backup(world):
    world.sql(PROVIDER)
    world.sql(SHOP, "shop")
    world.sql("ALTER TABLE orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", "shop")
    world.secrets["DATABASE_URL"] = "postgres://boss:a%20boss@db:5432/shop"
    # The dump ends early; what encrypts it is content with that.
    said = world.fails("make")
    assert "pg_dump failed with status" in said
    assert "row-level security" in said
    assert world.do("list")["backups"] == []
    assert world.shell("ls /backups") == "state.json"


def test_a_database_that_is_called_postgres_is_backed_up_and_not_swapped(world):
    world.sql("CREATE TABLE a (b int)", "postgres")
    world.secrets["DATABASE_URL"] = "postgres://app:a-password-1@db/postgres"
    name = world.backup()
    key = world.key(name)
    assert world.do("drill", name, key=key)["tables"] == 1
    assert "a database called postgres" in world.fails("beside", name, key=key)


def test_only_columns_that_may_leave_are_copied(world):
    reader = str(pyrage.x25519.Identity.generate().to_public())
    world.sql("CREATE TABLE empty (secret text); CREATE SCHEMA more; CREATE TABLE more.a (b int)")
    world.sql("INSERT INTO more.a VALUES (1)")
    allowed = {"notes": ["id"], "Odd name": ["id", "notes_id"]}
    made = world.do("copy", reader, "SELECT", json.dumps(allowed))
    assert made == {"unknown": {"notes": ["text"], "more.a": ["b"], "pg_largeobject": ["data"]}}
    assert world.shell("ls /backups | grep copy || echo none") == "none"
    scrub = "DELETE FROM more.a; SELECT lo_unlink(oid) FROM pg_largeobject_metadata"
    made = world.do("copy", reader, scrub, json.dumps(allowed | {"notes": ["id", "text"]}))
    assert made["size"] > 1000
    # What a migration adds is in no list.
    world.sql("ALTER TABLE notes ADD COLUMN phone text")
    made = world.do("copy", reader, scrub, json.dumps(allowed | {"notes": ["id", "text"]}))
    assert made == {"unknown": {"notes": ["phone"]}}
    assert world.do("kept") == []
