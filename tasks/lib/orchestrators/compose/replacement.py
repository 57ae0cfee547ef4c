"""A service of which only one container may run: the server itself puts a new one in its place.

The script goes on without its deployer. Docker never starts two of them: whatever it is cut off in,
the old one or the new one comes back, but for the moment between the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from subprocess import DEVNULL, PIPE

from ...errors import TaskError
from ...ssh.connection import remote
from ...ssh.host import Host
from ..stack import SERVICE, STACK
from .containers import ACCEPTED, NONE, Container

# Seconds that a script of a deployer that was killed may need to end.
PATIENCE = 600
# One script of a stack, $1, at a time: the file is locked as long as it runs.
LOCK = 'exec 9>"$HOME/.$1.lock" && flock 9 || exit 1\n'
STATE = "{{.State.Status}} {{with .State.Health}}{{.Status}}{{end}} {{.RestartCount}}"
# $2 is the service, then come the IDs of its new containers. After a restart of the
# server, Docker starts a container with "always" even if it was stopped by hand, and leaves one
# alone that was never started.
SCRIPT = f"""
{LOCK}
stack=$1 service=$2; shift 2
new=$(printf '%s\\n' "$@")
others() {{
    set -- "$@" --filter "label={STACK}=$stack" --filter "label={SERVICE}=$service"
    all=$(docker ps --quiet --no-trunc "$@") || return 1
    echo "$all" | grep -vxF "$new" || :
}}
policy() {{ name=$1; shift; [ $# = 0 ] || docker update --restart="$name" "$@"; }}
healthy() {{
    looks=0 unchecked=0 first=
    while [ $((looks += 1)) -le {PATIENCE} ]; do
        sleep 0.5
        now=$(docker inspect --format '{STATE}' $new) || continue
        first=${{first:-$(echo "$now" | cut -d' ' -f3)}}
        case "$now" in *exited*|*dead*|*restarting*|*unhealthy*) break ;; esac
        [ "$first" = "$(echo "$now" | cut -d' ' -f3)" ] || break
        echo "$now" | grep -qvE '^running (healthy)? ' && continue
        echo "$now" | grep -q 'running  ' && [ $((unchecked += 1)) -lt 10 ] && continue
        return 0
    done
    echo "$service is not healthy: $now"
    return 1
}}
forward() {{
    policy always $old && policy {ACCEPTED} $new && {{ [ -z "$old" ] || docker stop $old; }} &&
        rest=$(others --all) && policy {NONE} $rest && left=$(others) && [ -z "$left" ] &&
        docker start $new && healthy
}}
back() {{
    here=$(docker ps --all --quiet --no-trunc) || return 1
    here=$(echo "$here" | grep -xF "$new")
    policy {NONE} $here && {{ [ -z "$here" ] || docker stop $here; }} &&
        policy {ACCEPTED} $old && {{ [ -z "$old" ] || docker start $old; }}
}}
old=$(others) || exit 1
why=$(forward 2>&1) && exit 0
# A deployer that watches sees the container before it is stopped; Docker itself may be restarting.
for second in 2 2 4 8 16 32; do
    sleep $second
    back >/dev/null 2>&1 && break
done
echo "$why" >&2
exit 1
"""


class Replacement:
    """A script that runs on the server."""

    def __init__(self, host: Host, stack: str, service: str, new: Sequence[Container]) -> None:
        self._service = service
        command = remote(SCRIPT, (stack, service, *(each.id for each in new)))
        self._script = host.start(command, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE)

    def ended(self) -> bool:
        """Return whether it has ended."""
        return self._script.poll() is not None

    def check(self) -> None:
        """Raise TaskError if it failed, and so what was there runs again."""
        if self._script.returncode:
            _, errors = self._script.communicate()
            why = errors.decode(errors="replace").strip().rpartition("\n")[2]
            raise TaskError(f"{self._service} was not replaced: {why}")


def wait(host: Host, stack: str) -> None:
    """Wait until a script that runs on the server has ended: its deployer may have been killed."""
    host.run(LOCK, stack, changes=False, seconds=PATIENCE)


def forget(host: Host, stack: str) -> None:
    """Remove what scripts of a stack have left on the server."""
    host.run('rm -f "$HOME/.$1.lock"', stack)
