# Stand-ins for the images of compose/monitoring.yml: Debian's packages, a stage for each image, whose programs
# are called and listen as in the official one.
FROM debian:trixie-slim AS base
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends prometheus prometheus-alertmanager prometheus-node-exporter \
        prometheus-blackbox-exporter prometheus-postgres-exporter prometheus-redis-exporter busybox \
 && ln -s "$(command -v busybox)" /usr/local/bin/nc \
 && ln -s /usr/bin/prometheus-redis-exporter /redis_exporter \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o nobody -g nogroup /prometheus /alertmanager
USER 65534

FROM base AS prometheus
VOLUME /prometheus
WORKDIR /prometheus
EXPOSE 9090
ENTRYPOINT ["/usr/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]

FROM base AS alertmanager
VOLUME /alertmanager
WORKDIR /alertmanager
EXPOSE 9093
ENTRYPOINT ["/usr/bin/prometheus-alertmanager"]
CMD ["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"]

FROM base AS node-exporter
EXPOSE 9100
ENTRYPOINT ["/usr/bin/prometheus-node-exporter"]

FROM base AS blackbox-exporter
EXPOSE 9115
ENTRYPOINT ["/usr/bin/prometheus-blackbox-exporter"]
CMD ["--config.file=/etc/blackbox_exporter/config.yml"]

FROM base AS postgres-exporter
EXPOSE 9187
ENTRYPOINT ["/usr/bin/prometheus-postgres-exporter"]

FROM base AS redis_exporter
EXPOSE 9121
ENTRYPOINT ["/redis_exporter"]
