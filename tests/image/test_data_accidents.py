"""Databases and backups after an accident: lost tables, lost roles, a dump that was cut off."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.slow]
# A rule that only the full name of its table lets be checked, as a restore finds out.
RULE = """
CREATE FUNCTION most() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) + 1 FROM notes';
CREATE TABLE ruled (id int CHECK (id <= most())); INSERT INTO ruled VALUES (1);
"""


def test_a_restore_that_meets_an_error_leaves_no_database(world):
    world.sql(RULE)
    name = world.backup()
    assert 'relation "notes" does not exist' in world.fails("beside", name, key=world.key(name))
    assert world.do("kept") == []


def test_roles_that_the_server_lacks_are_made_and_have_their_rights(world):
    name = world.backup()
    world.sql("REASSIGN OWNED BY app_owner TO app; DROP OWNED BY app_owner, app_user")
    world.sql("DROP ROLE app_owner, app_user")
    new = world.do("beside", name, key=world.key(name))["database"]
    roles = "SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname IN ('app_owner', 'app_user')"
    assert sorted(world.sql(roles).split()) == ["app_owner|f", "app_user|f"]
    owner = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'notes'"
    assert world.sql(owner, new) == "app_owner"
    assert world.sql("SELECT has_table_privilege('app_user', 'notes', 'SELECT')", new) == "t"


@pytest.mark.parametrize(
    ("where", "accident"),
    [
        ("app", "DROP SCHEMA public CASCADE; CREATE SCHEMA public"),
        ("postgres", "DROP DATABASE app WITH (FORCE)"),
    ],
    ids=["emptied", "dropped"],
)
def test_a_database_that_is_no_more_is_restored(world, where, accident):
    world.sql("CREATE TABLE django_migrations (app text, name text)")
    world.sql("INSERT INTO django_migrations VALUES ('myapp', '0001_initial')")
    name = world.backup()
    world.sql(accident, where)
    found = world.do("beside", name, key=world.key(name))
    assert (found["rows"], found["extra"]) == (2031, [])
    world.do("swap", found["database"])
    assert world.sql("SELECT count(*) FROM notes") == "2000"
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'app'"
    assert world.sql(owner) == "app_owner"


def test_an_order_of_texts_that_has_changed_is_said_until_it_is_refreshed(world):
    ordered = "LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C'"
    world.sql(f"CREATE DATABASE shop TEMPLATE template0 {ordered}")
    world.env = {**world.env, "POSTGRES_DB": "shop"}
    assert "reordered" not in world.do("state")
    world.sql("UPDATE pg_database SET datcollversion = '1' WHERE datname = 'shop'")
    assert world.do("state")["reordered"] is True
    world.sql("REINDEX DATABASE shop", "shop")
    world.sql("ALTER DATABASE shop REFRESH COLLATION VERSION")
    assert "reordered" not in world.do("state")


# What the tools read back, with the folder and the number of tables that it should have.
PROVE = """
import os, sys; sys.path.insert(0, "/opt/data")
import backup
number = os.open("/k/key.txt", os.O_RDONLY)
backup.prove(f"{sys.argv[1]}/database.dump.age", number, {*range(int(sys.argv[2]))})
print("whole")
"""


@pytest.mark.parametrize(
    ("damage", "tables", "why"),
    [
        ("true", 2, "whole"),
        ("true", 3, "the dump has 2 of 3 tables"),
        ("truncate -s -3000 database.dump.age", 2, "age failed"),
        ("truncate -s 0 database.dump.age", 2, "age failed"),
    ],
    ids=["whole", "a table less", "cut off", "empty"],
)
def test_a_dump_that_is_not_whole_is_noticed_when_it_is_read_back(
    world, damage, tables, why, tmp_path
):
    name = world.backup()
    (tmp_path / "key.txt").write_text(world.key(name))
    (tmp_path / "prove.py").write_text(PROVE)
    words = f"python3 /k/prove.py /backups/{name} {tables} 2>&1 | tail -n 1"
    shown = world.shell(f"cd /backups/{name}; {damage}; {words}", f"--volume={tmp_path}:/k:ro")
    assert why in shown
