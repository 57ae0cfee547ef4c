"""Make a copy of the database that may leave the servers: scrubbed beside it, for one reader."""

import os

import database
import restore
import storage
from programs import Failed, chain, save


def make(reader, scrub=""):
    """Copy the database, run SQL on the copy, and write it for a reader; return the file.

    Args:
        reader: a public key of age.
        scrub: SQL that removes what must not leave; empty for nothing.
    """
    live, now = os.environ["PGDATABASE"], storage.now()
    new, path = f"{live}_drill_{now.lower()}", f"{storage.FOLDER}/{now}.copy"
    with storage.locked():
        clear()
        try:
            restore.create(new, live, {})
            load = ["pg_restore", "--exit-on-error", "--no-owner", "--no-acl", f"--dbname={new}"]
            with chain(["pg_dump", "--format=custom", "--compress=none"], load):
                pass
            if scrub:
                database.sql(f"BEGIN;\n{scrub}\n;COMMIT;", new)
            dump = ["pg_dump", "--format=custom", "--compress=zstd", f"--dbname={new}"]
            with chain(dump, ["age", "--encrypt", "--recipient", reader]) as output:
                return {"file": path, **save(output, path)}
        except Failed as failed:
            raise Failed(f"nothing was copied: {failed}") from None
        finally:
            restore.drop(new)


def clear():
    """Remove the copies that were fetched, or that nobody fetched."""
    for name in os.listdir(storage.FOLDER):
        if name.endswith(".copy"):
            os.remove(f"{storage.FOLDER}/{name}")
