"""Load a dump into a new database, whose server may be of a newer version."""

import os

from database import sql
from programs import run

# What makes statements fit another version.
PORTABLE = f"{os.path.dirname(os.path.abspath(__file__))}/portable.sed"


def load(path, name):
    """Restore a file of pg_dump's custom format into a new database."""
    sql(without_internals(run("pg_restore", "--section=pre-data", "--file=-", path)), name)
    parts = ("--section=data", "--section=post-data")
    run("pg_restore", "--exit-on-error", "--jobs=2", *parts, f"--dbname={name}", path)


def without_internals(text):
    """Return statements without options of columns that only one version of the server knows."""
    return run("sed", "--regexp-extended", f"--file={PORTABLE}", text=text)
