"""What the database's role needs for copies and restores; a superuser has it all."""

import json

from database import sql
from programs import Failed

# The statements that its operator has to run, a line each.
LACKING = """
SELECT statement FROM pg_roles, pg_database, LATERAL (VALUES
  (rolcreatedb, format('ALTER ROLE %I CREATEDB', rolname), false),
  (pg_has_role(datdba, 'USAGE'), format('ALTER DATABASE %I OWNER TO %I', datname, rolname), true),
  (pg_has_role('pg_signal_backend', 'USAGE'),
    format('GRANT pg_signal_backend TO %I', rolname), true)
) AS needed (given, statement, swaps)
WHERE rolname = current_user AND datname = :'live' AND NOT rolsuper AND NOT given
  AND (NOT swaps OR :'swaps')"""

# The roles that are lacking.
ROLES = """
SELECT format('CREATE ROLE %I', name) FROM json_array_elements_text(:'names') name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)"""
MAY_MAKE = "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"


def require(live, swaps):
    """Raise Failed if the role cannot make a database, or, if `swaps`, cannot swap two."""
    if swaps and live == "postgres":
        raise Failed("no restore into a database called postgres: give the app one of its own")
    if lacking := sql(LACKING, live=live, swaps=swaps).splitlines():
        raise _lacking(lacking)


def provide(names):
    """Make the roles that a backup needs. Raises Failed if they lack, and this one may not."""
    if lacking := sql(ROLES, "postgres", names=json.dumps(names)).splitlines():
        if sql(MAY_MAKE, "postgres") == "f":
            raise _lacking(lacking)
        sql(";".join(lacking), "postgres")


def _lacking(statements):
    return Failed(f"the role lacks rights; its operator has to run: {'; '.join(statements)}")
