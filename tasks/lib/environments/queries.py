"""What a person asks the database of an environment."""

from __future__ import annotations

import sys
from functools import partial
from typing import BinaryIO

from .. import console
from ..errors import ExitCode, TaskError
from ..project import contract
from . import audit
from .connection import Target

# Statements come by stdin, so that no shell reads them; the last line is psql's status. What runs
# for longer than a minute takes too much of a database that others need.
PSQL = (
    'export PGOPTIONS="-c default_transaction_read_only=on -c statement_timeout=60s"; '
    'psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" '
    '--dbname="$POSTGRES_DB" 2>&1; echo "$?"'
)


def typed(command: str) -> str:
    """Return the statements to ask: a command, or what comes by stdin.

    Raises TaskError if there is neither.
    """
    if not command and sys.stdin.isatty():
        hint = 'add --command="SELECT ...", or send a file with < FILE'
        raise TaskError("an environment has no shell of its database here", hint, ExitCode.REFUSED)
    return command or sys.stdin.read()


def ask(target: Target, statements: str) -> None:
    """Ask an environment's database, which is only read, and print its answer.

    Args:
        statements: SQL, or commands of psql.
    Raises TaskError if the database is external, does not run, or refuses a statement.
    """
    if contract.DATABASE not in target.orchestrator.services():
        what = f"{target.name} runs no service {contract.DATABASE!r}"
        hint = "ask an external database with its own tools, at the address in DATABASE_URL"
        raise TaskError(what, hint, ExitCode.REFUSED)
    console.say(f"asks the database of {target.name}, and changes nothing")
    with audit.noted(target, "asks the database", ""):
        shown = target.orchestrator.feed(contract.DATABASE, PSQL, partial(_write, statements))
        if shown is None:
            raise TaskError("the database does not run", f"inv status --env={target.name}")
        *lines, status = shown.splitlines() or ["0"]
        console.result("\n".join(lines))
        if status != "0":
            raise TaskError("psql failed: see above", "correct the statement")


def _write(statements: str, stream: BinaryIO) -> None:
    stream.write(f"{statements}\n".encode())
