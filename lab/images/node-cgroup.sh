# Sets `cgroup` to the server's own group, below which its containers live, so that they stop with it.
# shellcheck shell=sh
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    cgroup=$(sed -n 's/^0:://p' /proc/self/cgroup)
    # In cgroup v2, a group with children cannot have processes itself.
    mkdir -p "/sys/fs/cgroup$cgroup/server"
    xargs -n 1 <"/sys/fs/cgroup$cgroup/cgroup.procs" >"/sys/fs/cgroup$cgroup/server/cgroup.procs"
else
    cgroup=$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)
fi
