-- The roles of the app's database. The superuser runs it, with psql; run again, it changes nothing.
--
-- app_owner owns the schema, app_user reads and writes data. Nobody logs in as them, but as a role that
-- belongs to one version of a password: app_user_v3 has that of DATABASE_PASSWORD_v3. During a rotation
-- the old and the new one work, and after a rollback the old one still does. app_admin_v3, of
-- POSTGRES_PASSWORD_v3, is a superuser: backups and restores log in with it.
--
-- app_metrics_v3, of METRICS_PASSWORD_v3, reads statistics, and no data.
--
-- Variables of psql: user, owner, admin and metrics, the roles to log in with, the last one empty for none;
-- known, the words of those to keep.
\set ON_ERROR_STOP 1
\set QUIET 1
\set superuser_password `cat /run/secrets/POSTGRES_PASSWORD`
\set user_password `cat /run/secrets/DATABASE_PASSWORD`
\set owner_password `cat /run/secrets/OWNER_PASSWORD`
-- Passwords are in no log, even if a statement fails. CREATE IF NOT EXISTS and the like say nothing.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET client_min_messages = 'warning';
SET lock_timeout = '5s';
BEGIN;

ALTER ROLE CURRENT_USER PASSWORD :'superuser_password';
SELECT format('CREATE ROLE %I NOLOGIN', name) FROM unnest('{app_owner,app_user}'::text[]) name
WHERE to_regrole(name) IS NULL \gexec
SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY[:'user', :'owner', :'admin']) name
WHERE to_regrole(name) IS NULL \gexec
ALTER ROLE :"user" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'user_password';
ALTER ROLE :"owner" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'owner_password';
ALTER ROLE :"admin" LOGIN SUPERUSER PASSWORD :'superuser_password';
SELECT :'metrics' <> '' AS measured \gset
\if :measured
\set metrics_password `cat /run/secrets/METRICS_PASSWORD`
SELECT format('CREATE ROLE %I', :'metrics') WHERE to_regrole(:'metrics') IS NULL \gexec
ALTER ROLE :"metrics" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'metrics_password';
GRANT pg_monitor TO :"metrics";
\endif
GRANT app_user TO :"user";
GRANT app_owner TO :"owner";
-- What a migration makes belongs to app_owner.
ALTER ROLE :"owner" SET role = 'app_owner';

-- Whoever has an old password that no release needs can no longer log in.
SELECT format('ALTER ROLE %I NOLOGIN PASSWORD NULL', rolname) FROM pg_roles
WHERE rolname ~ '^app_(user|owner|admin|metrics)_v[0-9]+$' AND rolcanlogin
  AND rolname <> ALL(string_to_array(:'known', ' ')) \gexec

-- The schema is app_owner's, also what a superuser made. A table takes its sequences along, and what
-- belongs to an extension stays the extension's.
ALTER DATABASE :"DBNAME" OWNER TO app_owner;
CREATE TEMPORARY VIEW ours AS
SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema';
SELECT format('ALTER SCHEMA %I OWNER TO app_owner', nspname) FROM ours WHERE nspname <> 'public' \gexec
SELECT format('ALTER TABLE %s OWNER TO app_owner', c.oid::regclass)
FROM pg_class c JOIN ours ON ours.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relowner <> 'app_owner'::regrole
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
    AND (d.deptype = 'e' OR c.relkind = 'S' AND d.deptype IN ('a', 'i'))) \gexec
SELECT format('ALTER ROUTINE %s OWNER TO app_owner', p.oid::regprocedure)
FROM pg_proc p JOIN ours ON ours.oid = p.pronamespace
WHERE p.proowner <> 'app_owner'::regrole
  AND NOT EXISTS (SELECT FROM pg_depend d
    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e') \gexec
SELECT format('ALTER TYPE %s OWNER TO app_owner', t.oid::regtype)
FROM pg_type t JOIN ours ON ours.oid = t.typnamespace
WHERE t.typowner <> 'app_owner'::regrole AND (t.typtype IN ('d', 'e', 'r')
    OR EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
  AND NOT EXISTS (SELECT FROM pg_depend d
    WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype IN ('i', 'e')) \gexec

-- The app's rights on all that is there, and on what will be.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO app_owner;
SELECT format('GRANT USAGE ON SCHEMA %1$I TO app_user;'
    'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %1$I TO app_user;'
    'GRANT SELECT, USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA %1$I TO app_user', nspname)
FROM ours \gexec
ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT USAGE ON SCHEMAS TO app_user;
ALTER DEFAULT PRIVILEGES FOR ROLE app_owner
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO app_user;
ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT SELECT, USAGE, UPDATE ON SEQUENCES TO app_user;
DROP VIEW ours;
COMMIT;
