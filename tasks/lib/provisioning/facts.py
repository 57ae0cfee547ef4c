"""What kind of server it is, and whether it can be set up: system, init, rights."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NamedTuple

from ..errors import TaskError
from ..ssh.host import Host

LOOK = """
ID='' ID_LIKE='' VERSION_CODENAME=''
[ ! -r /etc/os-release ] || . /etc/os-release
init=none
[ ! -x /usr/sbin/update-rc.d ] || init=sysv
[ ! -d /run/systemd/system ] || init=systemd
root=missing
if [ "$(id -u)" = 0 ]; then root=yes
elif command -v sudo >/dev/null; then
    root=password
    if sudo -n true 2>/dev/null; then root=yes; fi
fi
set -- $SSH_CONNECTION
printf '%s=%s\\n' user "$(id -un)" id "$ID" like "$ID_LIKE" codename "$VERSION_CODENAME" \\
    init "$init" root "$root" address "${3%%%*}" port "$4"
"""
FORM = (
    r"user=(\S+)\nid=([a-z0-9._-]*)\nlike=([a-z0-9._ -]*)\ncodename=([a-z0-9._-]*)\n"
    r"init=(none|sysv|systemd)\nroot=(yes|missing|password)\naddress=([0-9a-f.:]+)\nport=(\d+)\n"
)
SYSTEMS = ("debian", "ubuntu")


class Facts(NamedTuple):
    """What a server is.

    Args:
        user: who is logged in.
        like: the systems that its own comes from.
        init: systemd, sysv or none.
        root: whether the user can be root: yes, or why not.
        address: the one at which it was reached, for the other servers.
        port: the one at which its sshd was reached.
    """

    user: str
    id: str
    like: str
    codename: str
    init: str
    root: str
    address: str
    port: int

    @property
    def problem(self) -> str:
        """Why it cannot be set up, and what to do; empty if it can."""
        if not {self.id, *self.like.split()} & {*SYSTEMS}:
            known = self.id or "unknown"
            return f"its system ({known}) is not Debian or Ubuntu - set it up by hand, {BY_HAND}"
        if self.root == "missing":
            return f"{self.user} is not root, and there is no sudo - install sudo there, as root"
        if self.root == "password":
            line = f"{self.user} ALL=(ALL) NOPASSWD: ALL"
            return f"{self.user} may not use sudo without a password - with visudo, add: {line}"
        if self.init == "none":
            return f"it has neither systemd nor init scripts - set it up by hand, {BY_HAND}"
        return ""


BY_HAND = "and remove `admin` from invoke.yaml (docs/deploy.md)"


def read(host: Host) -> Facts:
    """Return what a server is. Raises TaskError for an answer of another form."""
    return parse(host.name, host.run(LOOK, changes=False))


def parse(name: str, answer: str) -> Facts:
    """Return the facts of an answer, whose form is strict."""
    if not (found := re.fullmatch(FORM, answer)):
        said = answer.strip().splitlines()
        hint = "check /etc/os-release and the user's shell there"
        raise TaskError(f"{name}: unexpected answer ({said[:2]})", hint)
    user, system, like, codename, init, root, address, port = found.groups()
    plain = str(ip_address(address))
    return Facts(user, system, like, codename, init, root, plain, int(port))
