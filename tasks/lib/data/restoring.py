"""Restore a backup: into a database beside the live one, checked, migrated, then swapped in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .. import console
from ..environments import one_off, server_check
from ..environments.connection import Target
from ..environments.lock import Lock
from ..environments.running import known
from ..environments.storage import size
from ..errors import ExitCode, TaskError, explain
from ..orchestrators.base import Job
from ..orchestrators.stack import Stack
from ..project import contract
from . import fetched, points, tools
from .backups import rows, weight

# The address of an external database is a secret: the job itself puts another name into it.
EXTERNAL = (
    f'export {contract.URL}="$(sed -E "s|^([^/]*//[^/]*)/[^?]*|\\1/$0|" '
    f'/run/secrets/{contract.URL})"; exec "$@"'
)


@dataclass
class Restore:
    """The restore of a backup into an environment whose lock is held.

    Args:
        backup: one of backups.listed, or a point in time: see points.chosen.
        key: the backup's own key; empty for a plain dump of a deploy.
        new: the database beside the live one.
    """

    target: Target
    stack: Stack
    lock: Lock
    backup: dict[str, Any]
    key: str
    new: str = ""

    def run(self) -> str:
        """Restore, check, migrate, swap, and see that the site answers; undo it when it does not.

        Returns what was done. Raises TaskError; the live database is then as it was.
        """
        self._beside()
        try:
            self._fit()
            self._uploads()
        except BaseException:
            self._tools("drop", self.new)
            raise
        self._swap()
        name = self.target.name
        back = f"to go back: inv restore --env={name} --undo"
        return f"{name} has the data of {self.backup['name']}; {back}"

    def _uploads(self) -> None:
        """Bring back uploaded files that are missing; those that the backup lacks stay."""
        if self.backup.get("uploads"):
            console.step("restoring uploaded files")
            found = self._tools("uploads", self.backup["name"], key=self.key)
            console.say(
                f"  {found['restored']} were missing; {found['surplus']} are newer, and stay"
            )

    def undo(self) -> str:
        """Swap the database of before the last restore back; return what was done."""
        done = self._tools("undo")
        self._verify()
        return f"the old database is back; the other one is kept as {done['kept']}"

    def _tools(self, *words: str, key: str = "") -> Any:
        return tools.run(self.target, self.stack, self.lock, *words, key=key)

    def _beside(self) -> None:
        """Restore into a new database, which the job removes if it differs from the backup."""
        name = self.backup["name"]
        fetched.send(self.target, self.backup)
        console.step(f"restoring {name} beside the database")
        found = self._tools(*points.words(self.backup, "beside", "at"), key=self.key)
        self.new = found["database"]
        console.say(f"  {found['tables']} tables, {found['rows']} rows, in {found['seconds']} s")
        if "reached" in found:
            console.say(f"  its last transaction: {found['reached']}")
        if behind := found["behind"]:
            hint = f'inv manage --env={self.target.name} "sqlsequencereset APP"'
            what = f"sequences are behind their tables, as in the backup: {', '.join(behind)}"
            console.warn(f"{what} - {hint} prints what sets them")
        if extra := found["extra"]:
            self._tools("drop", self.new)
            what = f"{name} has migrations that this release lacks: {', '.join(extra[:3])}"
            hint = f"deploy the release that wrote it: {self.backup.get('revision', 'unknown')}"
            raise TaskError(what, hint, ExitCode.REFUSED)

    def _fit(self) -> None:
        """Let the release that runs check the new database, and migrate it if it is older."""
        console.step("checking the app on it")
        service = self.overrides()
        words = [contract.CHECK, *self.stack.backing]
        check = Job(contract.CHECK, self._on_new(words), overrides=service)
        pending = json.loads(self._jobs(check, contract.ANSWER))["pending"]
        if pending:
            console.step(f"migrating it: {', '.join(pending)}")
            words = [contract.MIGRATE, *self.stack.backing]
            self._jobs(Job(contract.MIGRATE, self._on_new(words), overrides=service))

    def _jobs(self, job: Job, answer: str = "") -> str:
        limit = self.target.settings.backup.timeout
        return self.target.orchestrator.run_jobs(self.stack, [job], limit, self.lock, answer)

    def overrides(self) -> dict[str, Any]:
        """Return the keys of a job of the app that uses the new database, as the schema's owner."""
        found = one_off.as_owner(self.stack)
        if url := found["environment"].get(contract.URL):
            found["environment"][contract.URL] = (
                urlsplit(url)._replace(path=f"/{self.new}").geturl()
            )
        return found

    def _on_new(self, words: list[str]) -> list[str]:
        """Return a job's command; it finds the new database of an external server."""
        if contract.DATABASE in self.stack.services:
            return words
        return ["sh", "-c", EXTERNAL, self.new, contract.ENTRYPOINT, *words]

    def _swap(self) -> None:
        console.step("swapping the databases")
        done = self._tools("swap", self.new)
        console.say(f"  the site was closed for {done['seconds']} s; {done['kept']} is kept")
        try:
            self._verify()
        except Exception as error:
            self._tools("undo")
            what = f"the site does not answer with the restored database: {explain(error)}"
            raise TaskError(f"{what}; the old one is back") from None

    def _verify(self) -> None:
        """See that the site answers on its server. Raises TaskError if it does not."""
        record = known(self.target).record
        server_check.verify(self.target, self.stack, record.revision if record else "")


def question(name: str, backup: dict[str, Any]) -> str:
    """Return what is asked before a restore, or before the undo of one if there is no backup."""
    if not backup:
        return f"Swap {name}'s database with the one of before the restore?"
    if "point" in backup:
        return f"Replace {name}'s database as of {backup['name']}?"
    made = f"of release {backup['release']}" if "release" in backup else "of before a deploy"
    held = "" if (count := rows(backup)) is None else f", {count} rows"
    what = f"{backup['name']} {made}, {size(weight(backup))}{held}"
    return f"Replace {name}'s database by backup {what}?"
