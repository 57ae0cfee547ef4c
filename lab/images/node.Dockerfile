# A server of the lab: sshd, a `deploy` user and its own Docker engine.
#
# Run it with the flags in node-entrypoint.sh, AUTHORIZED_KEYS in the environment, and a volume on
# /var/lib/docker. Arguments go to dockerd, for example --insecure-registry ADDRESS.
# FORWARD="5001=registry:5000 ..." forwards port 5001 of the server's own localhost to another machine.
FROM debian:trixie-slim AS node
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends docker.io docker-cli iptables openssh-server socat tini \
 && rm -rf /var/lib/apt/lists/* /etc/ssh/ssh_host_* \
 && useradd --create-home --shell /bin/bash --groups docker --password '*' deploy
COPY node-sshd.conf /etc/ssh/sshd_config.d/node.conf
COPY node-cgroup.sh /usr/local/lib/
COPY node-entrypoint.sh /usr/local/bin/node
VOLUME /var/lib/docker
EXPOSE 22
ENTRYPOINT ["tini", "--", "node"]
