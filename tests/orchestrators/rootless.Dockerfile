# A server whose user has a rootless engine; its socket is in /run/user/1000.
FROM debian:trixie-slim
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends docker.io docker-cli rootlesskit uidmap slirp4netns iproute2 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 --password '*' deploy \
 && grep -q ^deploy /etc/subuid
ENV XDG_RUNTIME_DIR=/run/user/1000 DOCKER_HOST=unix:///run/user/1000/docker.sock HOME=/home/deploy
VOLUME /home/deploy
CMD ["sh", "-c", "chmod 666 /dev/net/tun && mount --make-rshared / && chown deploy /run/user/1000 /home/deploy && exec setpriv --reuid=1000 --regid=1000 --clear-groups env PATH=/usr/sbin:/usr/bin:/sbin:/bin sh /usr/share/docker.io/contrib/dockerd-rootless.sh"]
