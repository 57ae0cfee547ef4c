"""A database, and the tools for backups in containers beside it."""

from __future__ import annotations

import base64
import json
import subprocess
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyrage  # type: ignore[import-untyped]

from tests.testbed.commands import docker, until

Process = subprocess.Popen[str]
PASSWORD, ACCESS, SECRET = "a-password-1", "an-access-key", "a-secret-key"
SECRETS = {
    "POSTGRES_PASSWORD": PASSWORD,
    "BACKUP_ACCESS_KEY_ID": ACCESS,
    "BACKUP_SECRET_ACCESS_KEY": SECRET,
}


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
        self,
        *words: str,
        key: str = "",
        disk: str = "backups",
        source: Any = None,
        name: str = "tools",
        **env: str,
    ) -> Process:
        """Start the tools in a container of their own.

        Args:
            key: the key of one backup.
            disk: the volume with the backups.
            source: the file that they read.
            name: the end of the container's name; others can run beside it.
        """
        place = self.folder / uuid.uuid4().hex
        place.mkdir()
        for secret, value in (self.secrets | ({"BACKUP_KEY": key} if key else {})).items():
            (place / secret).write_text(value)
        volumes = {f"{self.mark}-{disk}": "/backups", f"{self.mark}-static": "/srv/static"}
        volumes[f"{place}"] = "/run/secrets:ro"
        options = [f"--volume={each}:{where}" for each, where in volumes.items()]
        options += [f"--env={key}={value}" for key, value in {**self.env, **env}.items()]
        options += ["--rm", f"--label={self.mark}", f"--network={self.mark}", "--cap-drop=ALL"]
        options += [*self.options, *(["--interactive"] if source else [])]
        return subprocess.Popen(
            ["docker", "run", *options, f"--name={self.mark}-{name}", self.image, *words],
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
