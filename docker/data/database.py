"""The database that is backed up: how it is reached, and what is in it."""

import json
import os
import subprocess
import time
from contextlib import contextmanager
from urllib.parse import parse_qsl, unquote, urlsplit

from programs import Failed, reason, run

SECRETS = "/run/secrets"
# What is in a database, as one JSON object: equal before a dump and after a restore.
FACTS = """
SELECT json_build_object(
  'tables', (SELECT coalesce(json_object_agg(name, rows ORDER BY name), '{}') FROM (
    SELECT format('%I.%I', nspname, relname) AS name,
      (xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM ONLY %I.%I',
        nspname, relname), false, true, '')))[1]::text::bigint AS rows
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind = 'r' AND nspname !~ '^pg_' AND nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')) t),
  'sequences', (SELECT coalesce(json_object_agg(format('%I.%I', schemaname, sequencename),
      last_value ORDER BY schemaname, sequencename), '{}') FROM pg_sequences),
  'views', (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind IN ('v', 'm') AND nspname !~ '^pg_' AND nspname <> 'information_schema'),
  'indexes', (SELECT count(*) FROM pg_indexes WHERE schemaname !~ '^pg_'),
  'extensions', (SELECT coalesce(json_object_agg(extname, extversion ORDER BY extname), '{}')
    FROM pg_extension),
  'large_objects', (SELECT count(*) FROM pg_largeobject_metadata)
)"""
ABOUT = """
SELECT json_build_object('database', current_database(),
  'bytes', pg_database_size(current_database()),
  'version', current_setting('server_version'),
  'locale', (SELECT datcollate FROM pg_database WHERE datname = current_database()),
  'owners', (SELECT coalesce(json_agg(DISTINCT pg_get_userbyid(relowner)), '[]') FROM pg_class c
    JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname !~ '^pg_'
    AND nspname <> 'information_schema' AND relkind IN ('r', 'p', 'v', 'm', 'S')),
  'grantees', (SELECT coalesce(json_agg(DISTINCT pg_get_userbyid(grantee)), '[]') FROM pg_class,
    aclexplode(relacl) WHERE grantee <> 0))"""

# Indexes are in the order of texts of when they were made; a newer libc has another.
REORDERED = """
SELECT count(*) FROM pg_database WHERE datname = :'live'
  AND datcollversion <> pg_database_collation_actual_version(oid)"""
APPLIED = "SELECT app || '.' || name FROM django_migrations"
# Seconds that the database may take to answer, as after a start.
PATIENCE = 90


def read(name):
    """Return the value of a secret; empty if the container has none of that name."""
    try:
        with open(f"{SECRETS}/{name}") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def connect():
    """Let every PostgreSQL program find the database: the stack's own, or that of a URL."""
    os.environ.update(PGAPPNAME="backup", PGCONNECT_TIMEOUT="10", PGTZ="UTC")
    if url := read("OWNER_URL") or read("DATABASE_URL"):
        parts = urlsplit(url)
        own = {
            "PGHOST": parts.hostname, "PGPORT": str(parts.port or 5432),
            "PGUSER": parts.username, "PGPASSWORD": parts.password,
            "PGDATABASE": parts.path.lstrip("/"),
        }  # fmt: skip
        os.environ.update({key: unquote(value) for key, value in own.items() if value})
        # Such as sslmode, which many providers ask for.
        more = {key.upper().replace("_", ""): value for key, value in parse_qsl(parts.query)}
        os.environ.update({f"PG{key}": value for key, value in more.items()})
    else:
        own = {"PGHOST": os.environ.get("PGHOST", "db"), "PGPASSWORD": read("POSTGRES_PASSWORD")}
        own |= {"PGUSER": os.environ["POSTGRES_USER"], "PGDATABASE": os.environ["POSTGRES_DB"]}
        os.environ.update(own)


def sql(text, database="", **values):
    """Return what statements print, unaligned. Raises Failed at the first that fails.

    Args:
        database: another one than the environment's.
        values: psql's variables, which the text has as :'NAME' or :"NAME".
    """
    options = [f"--set={key}={value}" for key, value in values.items()]
    return run(
        *PSQL, *options, f"--dbname={database or os.environ['PGDATABASE']}", text=text
    ).strip()


PSQL = ("psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1")


def ready():
    """Wait until the database answers. Raises Failed if it does not."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return sql("SELECT 1", "postgres")
        except Failed:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def migrations(database=""):
    """Return the migrations that a database has."""
    there = sql("SELECT to_regclass('django_migrations') IS NOT NULL", database)
    return {*sql(APPLIED, database).splitlines()} if there == "t" else set()


def facts(database=""):
    """Return what is in a database; see FACTS."""
    return json.loads(sql(FACTS, database))


def is_reordered():
    """Return whether the server orders texts in another way than when the database was made."""
    return sql(REORDERED, "postgres", live=os.environ["PGDATABASE"]) != "0"


@contextmanager
def reached(**values):
    """Let PostgreSQL's programs reach another server or database meanwhile."""
    before = {key: os.environ[key] for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.update(before)


@contextmanager
def snapshot():
    """Yield the name of a snapshot of the database, and what is in it and about it."""
    session = subprocess.Popen(
        [*PSQL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )

    def ask(text):
        session.stdin.write(f"{' '.join(text.split())};\n")
        session.stdin.flush()
        if not (line := session.stdout.readline()):
            raise Failed(f"psql: {reason(session.stderr.read())}")
        return line.strip()

    try:
        session.stdin.write("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\n")
        name = ask("SELECT pg_export_snapshot()")
        yield name, json.loads(ask(ABOUT)), json.loads(ask(FACTS))
    finally:
        session.kill()
        session.communicate()
