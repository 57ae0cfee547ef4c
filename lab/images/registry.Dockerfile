# Stand-in for registry:2: Debian's docker-registry with the official image's entrypoint and configuration.
FROM debian:trixie-slim
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends busybox docker-registry \
 && rm -rf /var/lib/apt/lists/* \
 && ln -s /bin/busybox /usr/local/bin/wget \
 && ln -s /usr/bin/docker-registry /usr/local/bin/registry
COPY registry-config.yml /etc/docker/registry/config.yml
COPY registry-entrypoint.sh /entrypoint.sh
VOLUME /var/lib/registry
EXPOSE 5000
ENTRYPOINT ["/entrypoint.sh"]
CMD ["/etc/docker/registry/config.yml"]
