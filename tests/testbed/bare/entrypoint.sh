#!/bin/sh
# What a provider does before a server is handed over: host keys, and the owner's key for `ops`.
# DAEMON is a daemon.json that somebody has left; CGROUP in it is this container's own cgroup, which an
# engine in a container needs. FORWARD is as in lab/images/node-entrypoint.sh.
set -eu
ssh-keygen -A >/dev/null
install -d -o ops -g ops -m 700 /home/ops/.ssh
echo "$AUTHORIZED_KEYS" >/home/ops/.ssh/authorized_keys
mkdir -p /run/sshd
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    cgroup=$(sed -n 's/^0:://p' /proc/self/cgroup)
else
    cgroup=$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)
fi
if [ "${DAEMON:-}" ] && [ ! -e /etc/docker/daemon.json ]; then
    mkdir -p /etc/docker
    echo "$DAEMON" | sed "s|CGROUP|$cgroup/docker|" >/etc/docker/daemon.json
fi
for forward in ${FORWARD:-}; do
    socat "TCP-LISTEN:${forward%%=*},bind=127.0.0.1,fork,reuseaddr" "TCP:${forward#*=}" &
done
exec "$@"
