#!/bin/sh
# The part of the official image's entrypoint that this project uses.
set -e
case "$1" in -* | *.conf) set -- redis-server "$@" ;; esac
if [ "$1" = redis-server ]; then
    # As in the official image: the container's network is the protection, unless the command sets this.
    case "$*" in *--protected-mode*) ;; *) set -- "$@" --protected-mode no ;; esac
    if [ "$(id -u)" = 0 ]; then
        chown redis:redis .
        exec setpriv --reuid redis --regid redis --clear-groups -- "$@"
    fi
fi
exec "$@"
