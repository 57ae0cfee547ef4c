#!/bin/sh
# The part of the official image's entrypoint that this project uses.
set -eu
if [ "$1" = rabbitmq-server ] && [ "$(id -u)" = 0 ]; then
    chown rabbitmq:rabbitmq /var/lib/rabbitmq
    exec setpriv --reuid rabbitmq --regid rabbitmq --init-groups -- "$@"
fi
exec "$@"
