# Stand-in for redis:8-trixie: Debian's Redis 8 behind the official image's entrypoint contract.
FROM debian:trixie-slim
RUN groupadd --system --gid 999 redis \
 && useradd --system --gid redis --uid 999 --home-dir /data redis \
 && apt-get update \
 && apt-get install --yes --no-install-recommends redis-server tzdata \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o redis -g redis /data
COPY --chmod=755 <<'SCRIPT' /usr/local/bin/docker-entrypoint.sh
#!/bin/sh
set -e
case "$1" in -* | *.conf) set -- redis-server "$@" ;; esac
if [ "$1" = redis-server ]; then
    # As in the official image: the container's network is the protection, unless told otherwise.
    case "$*" in *--protected-mode*) ;; *) set -- "$@" --protected-mode no ;; esac
    if [ "$(id -u)" = 0 ]; then
        chown redis:redis .
        exec setpriv --reuid redis --regid redis --clear-groups -- "$@"
    fi
fi
exec "$@"
SCRIPT
VOLUME /data
WORKDIR /data
EXPOSE 6379
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["redis-server"]
