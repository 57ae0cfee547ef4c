"""What the database's role needs for copies and restores; a superuser has it all."""

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


def require(live, swaps):
    """Raise Failed if the role cannot make a database, or, if `swaps`, cannot swap two."""
    if swaps and live == "postgres":
        raise Failed("no restore into a database called postgres: give the app one of its own")
    if lacking := sql(LACKING, live=live, swaps=swaps):
        raise Failed(
            f"the role lacks rights; its operator has to run: {'; '.join(lacking.splitlines())}"
        )
