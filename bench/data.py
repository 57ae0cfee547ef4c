"""Backups and restores against PostgreSQL's own programs, and what archiving costs who writes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.servers import databases
from bench.table import Row, alternate
from tests.testbed.commands import docker, until
from tests.testbed.databases import World
from tests.testbed.scratch import Scratch

# Megabytes of the database, and the memory of the tools: compose/backup.yml.
SIZE, MEMORY = 1024, 512
# How often both sides are taken: backup and restore; writing, so many seconds by so many clients.
ROUNDS, WRITES, SECONDS, CLIENTS = 3, 5, 20, 4
# Seconds that a command may take.
LIMIT = 3600
TABLES = """
CREATE TABLE links (id bigserial PRIMARY KEY, code text UNIQUE, target text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(), clicks int NOT NULL DEFAULT 0);
CREATE TABLE written (at timestamptz DEFAULT now());
"""
# Half of each row is hard to compress.
FILL = """
INSERT INTO links (code, target, clicks) SELECT md5(random()::text || n),
  'https://example.com/articles/' || md5(random()::text) || '?from=newsletter&campaign=' || n, n
FROM generate_series(1, 50000) n
"""
WEIGHT = "SELECT pg_database_size('app') >> 20"
DUMP = "pg_dump | gzip >/backups/plain.sql.gz"
CUSTOM = "pg_dump --format=custom --file=/backups/plain.dump"
RESTORE = (
    "dropdb --if-exists --force plain; createdb plain; "
    "exec pg_restore --jobs=2 --dbname=plain /backups/plain.dump"
)
# Prints when each row was committed, by a connection of its own.
WRITER = (
    'rm -f /tmp/stop; while [ ! -e /tmp/stop ]; do psql -U app -d app -qc "INSERT INTO written '
    'DEFAULT VALUES" 2>/dev/null && date +%s.%N; done'
)
WRITTEN = "SELECT count(*) FROM written"
WAITING = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'"
ARCHIVED = "SELECT archived_count FROM pg_stat_archiver"


def measure(scratch: Scratch, size: int = SIZE) -> list[Row]:
    """All of it, with a generated database of `size` megabytes."""
    plain, archived = databases(scratch)
    return [*backups(Sides(plain), size), writing(archived, plain)]


@dataclass
class Sides:
    """Ours and theirs, each in a container of the same image, with the same memory.

    Attributes:
        name: our newest backup.
        peaks: the most memory that each side had, in bytes.
    """

    world: World
    name: str = ""
    peaks: dict[str, int] = field(default_factory=dict)

    def run(self, side: str, *words: str, key: str = "") -> tuple[float, Any]:
        """Seconds of a command, and what it printed; its memory is kept for its side."""
        program = Path(__file__).with_name("peak.py")
        options = [f"--memory={MEMORY}m", "--entrypoint=python3", f"--volume={program}:/peak.py:ro"]
        measured = replace(self.world, options=options)
        process = measured.begin("/peak.py", *words, key=key)
        out, said = process.communicate(timeout=LIMIT)
        if process.returncode:
            raise RuntimeError(f"{words[0]} ended with {process.returncode}: {said}")
        *lines, last = out.splitlines()
        found = json.loads(last)
        self.peaks[side] = max(self.peaks.get(side, 0), found["bytes"])
        return float(found["seconds"]), json.loads(lines[-1])["done"] if lines else None

    def backup(self) -> float:
        """Seconds of our backup."""
        seconds, done = self.run("backup", "python3", "/opt/data", "make")
        self.name = done["name"]
        return seconds

    def restore(self) -> float:
        """Seconds of our restore, beside the database."""
        key = self.world.key(self.name)
        seconds, done = self.run("restore", "python3", "/opt/data", "beside", self.name, key=key)
        self.world.do("drop", done["database"])
        return seconds

    def theirs(self, side: str, script: str) -> float:
        """Seconds of PostgreSQL's own programs."""
        return self.run(side, "sh", "-ec", script)[0]


def backups(sides: Sides, size: int) -> list[Row]:
    """Backup, restore and swap of a database of so many megabytes."""
    world = sides.world
    world.sql(TABLES)
    while int(world.sql(WEIGHT)) < size:
        world.sql(FILL)
    world.sql("VACUUM ANALYZE")
    made = alternate(sides.backup, partial(sides.theirs, "pg_dump", DUMP), ROUNDS)
    sides.theirs("custom", CUSTOM)
    restored = alternate(sides.restore, partial(sides.theirs, "pg_restore", RESTORE), ROUNDS)
    world.sql("DROP DATABASE plain")
    files = f"du -m /backups/{sides.name} /backups/plain.sql.gz | cut -f 1"
    ours, theirs = world.shell(files).split()
    held = f"{world.sql(WEIGHT)} MB, {world.sql('SELECT count(*) FROM links')} rows"
    peaks = {side: most / 1e6 for side, most in sides.peaks.items()}
    in_memory = (("backup", "pg_dump"), ("restore", "pg_restore"))
    return [
        Row("backup, encrypted and read back / `pg_dump` to `gzip`", *made, 1.2,
            note=f"{held}; the files have {ours} MB / {theirs} MB"),
        Row("restore, compared and analysed / `createdb`, `pg_restore --jobs=2`", *restored, 1.2),
        *(Row(f"{mine}, the most memory at once / `{other}`", peaks[mine], peaks[other], MEMORY,
              unit="MB", alone=True) for mine, other in in_memory),
        swap(sides),
    ]  # fmt: skip


def swap(sides: Sides) -> Row:
    """The longest time without a written row while the databases are swapped, and back again."""
    world = sides.world
    new = world.do("beside", sides.name, key=world.key(sides.name))["database"]
    taken = [unwritable(world, partial(world.do, *words)) for words in (("swap", new), ("undo",))]
    what = "a swap, from a written row to the next one, each over a new connection"
    return Row(what, max(taken), limit=5, note=f"the slower of 2; the other one {min(taken):.2f} s")


def unwritable(world: World, action: Callable[[], Any]) -> float:
    """The seconds for which nobody can write during an action."""
    container = f"{world.mark}-db"
    words = ["docker", "exec", container, "sh", "-c", WRITER]
    writer = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        for step in (action, lambda: None):
            before = int(world.sql(WRITTEN))
            until(lambda before=before: int(world.sql(WRITTEN)) > before + 5)
            step()
    finally:
        docker("exec", container, "touch", "/tmp/stop")
        out, _ = writer.communicate(timeout=60)
    times = [float(line) for line in out.splitlines()]
    return max(after - before for before, after in pairwise(times))


def writing(archived: World, plain: World) -> Row:
    """The time of transactions with an archive, and without."""
    for world in (archived, plain):
        world.sql("CREATE DATABASE bench")
        docker("exec", f"{world.mark}-db", "pgbench", "-U", "app", "-qi", "-s", "20", "bench")
    before = int(archived.sql(ARCHIVED))
    taken = alternate(partial(transactions, archived), partial(transactions, plain), WRITES)
    count = int(archived.sql(ARCHIVED)) - before
    what = f"1000 transactions of pgbench, {CLIENTS} clients, with `backup.pitr` / without"
    return Row(what, *taken, 1.05, note=f"{count} files of 16 MB archived")


def transactions(world: World) -> float:
    """Seconds for 1,000 transactions; the next one begins when all is archived."""
    world.sql("CHECKPOINT")
    words = ("-U", "app", "-c", str(CLIENTS), "-j", "2", "-T", str(SECONDS), "bench")
    shown = docker("exec", f"{world.mark}-db", "pgbench", *words)
    (rate,) = re.findall(r"^tps = ([\d.]+)", shown, re.MULTILINE)
    until(lambda: world.sql(WAITING) == "0", 300)
    return 1000 / float(rate)
