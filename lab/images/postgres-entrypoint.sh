#!/bin/bash
# The part of the official image's entrypoint that this project uses.
set -euo pipefail

# Print a setting: NAME, or the content of the file that NAME_FILE points to.
setting() {
    local file="$1_FILE"
    if [ -n "${!file:-}" ]; then cat "${!file}"; else echo "${!1:-}"; fi
}

# Create the cluster, its superuser and its first database from the environment variables.
initialise() {
    local password user database arguments method
    password=$(setting POSTGRES_PASSWORD)
    user=$(setting POSTGRES_USER)
    user=${user:-postgres}
    database=$(setting POSTGRES_DB)
    database=${database:-$user}
    method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    if [ -z "$password" ] && [ "$method" != trust ]; then
        echo 'Error: set POSTGRES_PASSWORD to a non-empty value for the superuser.' >&2
        exit 1
    fi
    eval "arguments=($(setting POSTGRES_INITDB_ARGS))"
    initdb --username="$user" --pwfile=<(echo "$password") "${arguments[@]}"
    echo "host all all all $method" >>"$PGDATA/pg_hba.conf"
    if [ "$database" != postgres ]; then
        echo "CREATE DATABASE \"$database\"" | postgres --single -j postgres >/dev/null
    fi
}

if [ "${1:0:1}" = - ]; then set -- postgres "$@"; fi
if [ "$1" = postgres ]; then
    if [ "$(id -u)" = 0 ]; then
        install -d -o postgres -m 700 "$PGDATA"
        find "$PGDATA" /run/postgresql \! -user postgres -exec chown postgres {} +
        exec setpriv --reuid postgres --regid postgres --init-groups -- "$0" "$@"
    fi
    if [ ! -s "$PGDATA/PG_VERSION" ]; then initialise; fi
fi
exec "$@"
