"""Load a dump into a new database, whose server may be of a newer version."""

import re

from database import sql
from programs import run

# Columns have options that a server of 17 sets by itself, and that one of 18 refuses.
OPTIONS = re.compile(r"^(ALTER TABLE ONLY .+ ALTER COLUMN .+ SET \()(.+)\);$", re.MULTILINE)


def load(path, name):
    """Restore a file of pg_dump's custom format into a new database."""
    sql(without_internals(run("pg_restore", "--section=pre-data", "--file=-", path)), name)
    parts = ("--section=data", "--section=post-data")
    run("pg_restore", "--exit-on-error", "--jobs=2", *parts, f"--dbname={name}", path)


def without_internals(text):
    """Return statements without options of columns that only one version of the server knows."""

    def kept(found):
        options = [each for each in found[2].split(", ") if not each.startswith("pg_")]
        return f"{found[1]}{', '.join(options)});" if options else ""

    return OPTIONS.sub(kept, text)
