#!/bin/sh
# The part of the official image's entrypoint that this project uses: a root without a password.
set -eu
if [ "$(id -u)" = 0 ]; then
    chown mysql:mysql /var/lib/mysql
    exec setpriv --reuid mysql --regid mysql --init-groups -- "$0" "$@"
fi
if [ ! -d /var/lib/mysql/mysql ]; then
    mariadb-install-db --auth-root-authentication-method=normal --skip-test-db >/dev/null
    mariadbd --bootstrap <<END
USE mysql;
FLUSH PRIVILEGES;
CREATE DATABASE $MARIADB_DATABASE CHARACTER SET utf8mb4;
CREATE USER root@'%';
GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
END
fi
exec "$@"
