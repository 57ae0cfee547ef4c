"""A database, a volume and an S3 server, and the tools for backups in containers beside them."""

from __future__ import annotations

import base64
import json
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyrage  # type: ignore[import-untyped]
import pytest

from tests.testbed.commands import ROOT, docker, until

DISKS = ("backups", "static", "small", "media")
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


@dataclass
class World:
    """A database, a volume for backups, S3-compatible storage, and who may read the backups."""

    mark: str
    image: str
    folder: Path
    identity: Any
    env: dict[str, str]
    secrets: dict[str, str] = field(default_factory=SECRETS.copy)
    options: Sequence[str] = ()

    def begin(
        self, *words: str, key: str = "", disk: str = "backups", source: Any = None, **env: str
    ) -> Process:
        """Start the tools in a container of their own.

        Args:
            key: the key of one backup.
            disk: the volume with the backups.
            source: the file that they read.
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
        options += [*self.options, *(["--interactive"] if source else [])]
        return subprocess.Popen(
            ["docker", "run", *options, f"--name={self.mark}-tools", self.image, *words],
            stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def fails(self, *words: str, **more: Any) -> str:
        """Run the tools, which fail; return the line that says why."""
        process = self.begin(*words, **more)
        _, said = process.communicate(timeout=300)
        assert process.returncode == 1, said
        (line,) = said.splitlines()
        return line

    def do(self, *words: str, **more: Any) -> Any:
        """Run the tools; return what they have done. Raises AssertionError if they fail."""
        process = self.begin(*words, **more)
        out, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
        return json.loads(out.splitlines()[-1])["done"]

    def log(self) -> str:
        """What the service has printed, once there is one."""
        with suppress(RuntimeError):
            return docker("logs", f"{self.mark}-tools", both=True)
        return ""

    def sql(self, text: str, database: str = "app") -> str:
        """What statements print."""
        words = ["psql", "-U", "app", "-d", database, "-qAt", "-v", "ON_ERROR_STOP=1"]
        return docker("exec", "--interactive", f"{self.mark}-db", *words, text=text)

    def sessions(self, role: str, database: str) -> Process:
        """Begin a session of a role that waits; return what has it."""
        words = [
            "psql",
            "-U",
            role,
            "-h",
            "127.0.0.1",
            "-d",
            database,
            "-qc",
            "SELECT pg_sleep(300)",
        ]
        env = ["--env=PGPASSWORD=web", "--env=PGAPPNAME=held"]
        held = subprocess.Popen(["docker", "exec", *env, f"{self.mark}-db", *words], text=True)
        count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'held'"
        until(lambda: self.sql(count) == "1")
        return held

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
