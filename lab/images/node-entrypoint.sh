#!/bin/sh
# Start the daemons of a server: sshd and dockerd. Not every machine can grant --privileged; these flags
# are enough:
#   --cap-add ALL --cgroupns host --device-cgroup-rule 'a *:* rwm'
#   --security-opt seccomp=unconfined --security-opt apparmor=unconfined
#   --security-opt systempaths=unconfined --volume /sys/fs/cgroup:/sys/fs/cgroup:rw
set -eu

# shellcheck source=lab/images/node-cgroup.sh
. /usr/local/lib/node-cgroup.sh

# Each server has its own host keys, and keeps them across restarts.
ssh-keygen -A
install -d -o deploy -g deploy -m 700 /home/deploy/.ssh
echo "${AUTHORIZED_KEYS:-}" >/home/deploy/.ssh/authorized_keys
mkdir -p /run/sshd
/usr/sbin/sshd -E /var/log/sshd.log

for forward in ${FORWARD:-}; do
    socat "TCP-LISTEN:${forward%%=*},bind=127.0.0.1,fork,reuseaddr" "TCP:${forward#*=}" &
done

# After a restart, other processes may have the old process ids.
rm -f /run/docker.pid /run/docker/containerd/containerd.pid
exec dockerd --storage-driver overlay2 --cgroup-parent "$cgroup/docker" "$@"
