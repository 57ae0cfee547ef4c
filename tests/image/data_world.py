"""A database, a volume and an S3 server, and the tools for backups in containers beside them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest

from tests.testbed.commands import ROOT, docker, until
from tests.testbed.databases import ACCESS, PASSWORD, SECRET, World

DISKS = ("backups", "static", "small", "media")
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
