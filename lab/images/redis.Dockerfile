# Stand-in for redis:8-trixie: Debian's Redis 8 behind the official image's entrypoint contract.
FROM debian:trixie-slim
# hadolint ignore=DL3008
RUN groupadd --system --gid 999 redis \
 && useradd --system --gid redis --uid 999 --home-dir /data redis \
 && apt-get update \
 && apt-get install --yes --no-install-recommends redis-server tzdata \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o redis -g redis /data
COPY redis-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
VOLUME /data
WORKDIR /data
EXPOSE 6379
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["redis-server"]
