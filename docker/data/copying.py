"""Make a copy of the database that may leave the servers: scrubbed beside it, for one reader."""

import json
import os

import database
import restore
import rights
import swap
import volume
from programs import Failed, chain, save

# The columns of each table that has rows, as one JSON object; those of `public` without its name.
LEAVING = """
SELECT coalesce(json_object_agg(name, columns), '{}') FROM (
  SELECT CASE nspname WHEN 'public' THEN relname ELSE nspname || '.' || relname END AS name,
    json_agg(attname ORDER BY attnum) AS columns
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
  JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
  WHERE relkind = 'r' AND nspname !~ '^pg_' AND nspname <> 'information_schema'
    AND query_to_xml(format('SELECT 1 AS x FROM ONLY %I.%I LIMIT 1', nspname, relname),
      false, true, '')::text <> ''
  GROUP BY 1
  UNION ALL SELECT 'pg_largeobject', '["data"]' WHERE EXISTS (SELECT FROM pg_largeobject_metadata)
) t"""


def make(reader, scrub="", allowed=""):
    """Copy the database, run SQL on the copy, and write it for a reader; return the file.

    Args:
        reader: a public key of age.
        scrub: SQL that removes what must not leave; empty for nothing.
        allowed: a JSON object with the columns of each table that may leave; empty for all.
    Returns the columns that may not leave instead, if the copy has some.
    """
    live, now = os.environ["PGDATABASE"], volume.now()
    new, path = f"{live}_drill_{now.lower()}", f"{volume.FOLDER}/{now}.copy"
    with volume.locked():
        clear()
        rights.require(live, False)
        try:
            restore.create(new, live, {})
            load = ["pg_restore", "--exit-on-error", "--no-owner", "--no-acl", f"--dbname={new}"]
            with chain(["pg_dump", "--format=custom", "--compress=none"], load):
                pass
            if scrub:
                database.sql(f"BEGIN;\n{scrub}\n;COMMIT;", new)
            if allowed and (unknown := _unknown(new, json.loads(allowed))):
                return {"unknown": unknown}
            dump = ["pg_dump", "--format=custom", "--compress=zstd", f"--dbname={new}"]
            with chain(dump, ["age", "--encrypt", "--recipient", reader]) as output:
                return {"file": path, **save(output, path)}
        except Failed as failed:
            raise Failed(f"nothing was copied: {failed}") from None
        finally:
            swap.drop(new)


def _unknown(name, allowed):
    """Return the columns with data in a database that are not allowed to leave, by table."""
    found = {
        table: [column for column in columns if column not in allowed.get(table, [])]
        for table, columns in json.loads(database.sql(LEAVING, name)).items()
    }
    return {table: columns for table, columns in found.items() if columns}


def clear():
    """Remove the copies that were fetched, or that nobody fetched."""
    for name in os.listdir(volume.FOLDER):
        if name.endswith(".copy"):
            os.remove(f"{volume.FOLDER}/{name}")
