# Stand-in for rabbitmq:4: Debian's RabbitMQ 4 behind the official image's entrypoint contract. No lab needs it; a
# test builds it.
FROM debian:trixie-slim
# hadolint ignore=DL3008
RUN groupadd --system --gid 999 rabbitmq \
 && useradd --system --gid rabbitmq --uid 999 --home-dir /var/lib/rabbitmq rabbitmq \
 && apt-get update \
 && apt-get install --yes --no-install-recommends rabbitmq-server \
 && rm -rf /var/lib/apt/lists/* /var/lib/rabbitmq/* \
 && install -d -o rabbitmq -g rabbitmq /var/lib/rabbitmq /etc/rabbitmq/conf.d
COPY rabbitmq-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
ENV HOME=/var/lib/rabbitmq RABBITMQ_LOGS=-
VOLUME /var/lib/rabbitmq
EXPOSE 5672
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["rabbitmq-server"]
