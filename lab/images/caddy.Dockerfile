# Stand-in for caddy:2: Caddy's own build, as PyPI distributes it (Debian's is years older), with the
# official image's paths, command and environment.
FROM debian:trixie-slim AS download
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-pip
COPY caddy.txt /
RUN pip install --no-cache-dir --no-deps --require-hashes --target=/caddy -r /caddy.txt

FROM debian:trixie-slim
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends busybox mailcap \
 && rm -rf /var/lib/apt/lists/* \
 && ln -s /bin/busybox /usr/local/bin/wget \
 && mkdir -p /config/caddy /data/caddy /etc/caddy /srv /usr/share/caddy
COPY --from=download /caddy/bin/caddy /usr/bin/caddy
ENV XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data
WORKDIR /srv
EXPOSE 80 443 443/udp 2019
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
