"""Two servers of PostgreSQL, one of which archives, and the tools for backups beside them."""

from __future__ import annotations

from dataclasses import replace

import pyrage  # type: ignore[import-untyped]

from tests.testbed.commands import docker, until, works
from tests.testbed.databases import PASSWORD, World
from tests.testbed.scratch import Scratch

# Where the archive is, as compose/pitr.yml has it, and what makes its first base backup.
ARCHIVE = {
    "PGBACKREST_REPO1_TYPE": "posix",
    "PGBACKREST_REPO1_PATH": "/archive/repository",
    "PGBACKREST_REPO1_RETENTION_FULL": "7",
}
BASE = ("pgbackrest-archive", "backup", "full")


def databases(scratch: Scratch) -> tuple[World, World]:
    """Build the images, and start two servers of the same one; the second server archives."""
    for stage in ("database", "data"):
        words = ("--quiet", "--file=docker/data.Dockerfile", f"--target={stage}")
        scratch.run("docker", "build", *words, f"--tag={scratch.mark}:{stage}", ".")
    identity = pyrage.x25519.Identity.generate()
    env = {
        "POSTGRES_USER": "app", "POSTGRES_DB": "app", "BACKUP_KEEP": "1", "BACKUP_DAYS": "0",
        "BACKUP_RECIPIENTS": str(identity.to_public()), "PGHOST": "db", "PGUSER": "app",
        "PGPASSWORD": PASSWORD, "PGDATABASE": "app",
    }  # fmt: skip
    plain = World(scratch.mark, f"{scratch.mark}:data", scratch.folder, identity, env)
    archived = replace(plain, mark=f"{scratch.mark}-archived")
    docker("network", "create", scratch.mark)
    start(plain, scratch.mark, "--network-alias=db", "--entrypoint=docker-entrypoint.sh")
    start(archived, scratch.mark, *archive(archived))
    made = docker("exec", "--user=postgres", f"{archived.mark}-db", *BASE)
    assert made.endswith("status 0"), made
    return plain, archived


def archive(world: World) -> list[str]:
    """The options of a server that archives on a volume, as compose/pitr.yml has them."""
    folder = world.folder / "archive-secrets"
    folder.mkdir()
    (folder / "ARCHIVE_KEY").write_text("a-key-of-the-archive")
    words = [f"--env={key}={value}" for key, value in ARCHIVE.items()]
    volumes = {f"{world.mark}-files": "/archive", str(folder): "/run/secrets:ro"}
    return [*words, *(f"--volume={each}:{where}" for each, where in volumes.items())]


def start(world: World, network: str, *options: str) -> None:
    """Start a server, and wait until it answers over the network."""
    words = ["--detach", f"--name={world.mark}-db", f"--network={network}", "--shm-size=256m"]
    env = ("POSTGRES_USER=app", "POSTGRES_DB=app", f"POSTGRES_PASSWORD={PASSWORD}")
    words += [f"--env={each}" for each in env]
    words += [f"--volume={world.mark}-db:/var/lib/postgresql/data"]
    docker("run", *words, *options, world.image.replace(":data", ":database"), "postgres")
    ready = ("pg_isready", "--host=127.0.0.1", "--username=app", "--quiet")
    until(works(lambda: docker("exec", f"{world.mark}-db", *ready)), 120)
