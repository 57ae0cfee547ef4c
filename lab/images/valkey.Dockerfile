# Stand-in for valkey/valkey:8-trixie: Debian's Valkey 8 behind the official image's entrypoint contract. No lab
# needs it; a test builds it.
FROM debian:trixie-slim
# hadolint ignore=DL3008
RUN groupadd --system --gid 999 valkey \
 && useradd --system --gid valkey --uid 999 --home-dir /data valkey \
 && apt-get update \
 && apt-get install --yes --no-install-recommends tzdata valkey-server valkey-tools \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o valkey -g valkey /data
COPY redis-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
RUN sed -i s/redis/valkey/g /usr/local/bin/docker-entrypoint.sh
VOLUME /data
WORKDIR /data
EXPOSE 6379
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["valkey-server"]
