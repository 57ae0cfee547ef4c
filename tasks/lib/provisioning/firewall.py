"""A firewall that published ports of containers cannot bypass: a table of its own in nftables.

A packet that one table drops is dropped, whatever the tables of Docker, ufw or others accept; what
this one accepts, the others may still drop. They are neither read nor changed.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

from . import item
from .item import Difference, Item
from .sockets import LISTENING, listening

NAME = "deploy-firewall"
TABLE = "table inet deploy"
FILE = "/etc/deploy/firewall.nft"
UNIT = f"""# {item.MARK}.
[Unit]
Description=Firewall of the deployed servers
DefaultDependencies=no
Wants=network-pre.target
# nftables.service flushes all tables when it starts, stops or reloads.
After=nftables.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service
Before=network-pre.target docker.service shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {FILE}
ExecReload=/usr/sbin/nft -f {FILE}

[Install]
WantedBy=sysinit.target nftables.service
"""
SCRIPT = f"""#!/bin/sh
# {item.MARK}.
### BEGIN INIT INFO
# Provides: {NAME}
# Required-Start: mountkernfs $local_fs
# Required-Stop:
# X-Start-Before: networking
# Default-Start: S
# Default-Stop:
# Short-Description: Firewall of the deployed servers
### END INIT INFO
case "$1" in start | restart | reload | force-reload) exec /usr/sbin/nft -f {FILE} ;; esac
"""
# systemd or sysv: the file that loads the rules at the start, its mode, and how it is enabled.
BOOT = {
    "systemd": (f"/etc/systemd/system/{NAME}.service", UNIT, "644",
                f"systemctl daemon-reload\nsystemctl enable --now {NAME}\n"),
    "sysv": (f"/etc/init.d/{NAME}", SCRIPT, "755", f"update-rc.d {NAME} defaults\n"),
}  # fmt: skip
# Ports from here on are handed out to clients: nobody serves there.
PASSING = 32768
# DHCP's own.
CLIENTS = {"68/udp", "546/udp"}
# How many lines that differ are shown.
SHOWN = 3
# The rules do not come back with the next start.
UNDO = f"nft delete {TABLE} || true\nrm -f {FILE}\n"
ENABLED = {
    "systemd": f"systemctl is-enabled {NAME} 2>/dev/null || true",
    "sysv": f"ls /etc/rcS.d/ | grep -qx 'S[0-9]*{NAME}' && echo enabled || true",
}


@dataclass(frozen=True)
class Traffic:
    """What only a cluster's servers may send each other.

    Args:
        peers: the servers' addresses.
        tcp, udp: the ports.
        protocols: other protocols of IP, by number.
        bridges: the interfaces of containers, which are reached through published ports only.
    """

    peers: Sequence[str] = ()
    tcp: Sequence[int] = ()
    udp: Sequence[int] = ()
    protocols: Sequence[int] = ()
    bridges: Sequence[str] = ()

    @property
    def ports(self) -> set[str]:
        """The ports, as PORT/PROTOCOL."""
        return {f"{port}/tcp" for port in self.tcp} | {f"{port}/udp" for port in self.udp}


def rules(ports: Iterable[str], traffic: Traffic) -> str:
    """Return the rules, in nft's words: they replace the table in one step.

    Args:
        ports: those that everybody reaches, as PORT/PROTOCOL.
    """
    opened = {
        kind: sorted(_number(port) for port in {*ports} if port.endswith(f"/{kind}"))
        for kind in ("tcp", "udp")
    }
    lines = [f"# {item.MARK}.", TABLE, f"delete {TABLE}", f"{TABLE} {{"]
    lines += ["chain input {", "type filter hook input priority -10; policy drop;"]
    lines += ["ct state established,related accept", "iifname lo accept"]
    # ICMP, ICMPv6 and DHCP.
    lines += ["meta l4proto { 1, 58 } accept", "udp sport 67 udp dport 68 accept"]
    lines += ["ip6 saddr fe80::/10 udp dport 546 accept"]
    lines += [f"{kind} dport {_set(ports)} accept" for kind, ports in opened.items() if ports]
    lines += [f"{line} accept" for line in _cluster(traffic, "saddr")]
    lines += ["}", "chain forward {", "type filter hook forward priority -10; policy accept;"]
    lines += ["ct state established,related accept"]
    lines += [
        f"meta l4proto {kind} ct status dnat ct original proto-dst {_set(ports)} accept"
        for kind, ports in opened.items()
        if ports
    ]
    lines += ["ct status dnat drop"]
    if traffic.bridges:
        inside = _set([f'"{name}"' for name in traffic.bridges])
        lines += [f"iifname != {inside} oifname {inside} drop"]
    # Containers have the address of their server outside of it.
    lines += [f"{line} drop" for line in _cluster(traffic, "daddr")]
    return "\n".join([*lines, "}", "}"]) + "\n"


def _cluster(traffic: Traffic, side: str) -> list[str]:
    """Return what matches the cluster's own traffic, by the address of one side of it."""
    found = []
    for family, version in (("ip", 4), ("ip6", 6)):
        peers = sorted(each for each in {*traffic.peers} if ip_address(each).version == version)
        what = [f"{kind} dport {_set(ports)}" for kind, ports in
                (("tcp", traffic.tcp), ("udp", traffic.udp)) if ports]  # fmt: skip
        what += [f"meta l4proto {_set(traffic.protocols)}"] if traffic.protocols else []
        found += [f"{family} {side} {_set(peers)} {each}" for each in what if peers]
    return found


def _set(values: Iterable[object]) -> str:
    return "{ " + ", ".join(map(str, values)) + " }"


def items(text: str, init: str, known: Collection[str]) -> list[Item]:
    """Return the items of the rules: that they hold now, and that they do after a restart.

    Args:
        known: the ports that they name, as PORT/PROTOCOL.
    """
    path, boot, mode, enable = BOOT[init]
    compare = partial(_compare, known)
    return [
        Item("firewall", _look(text), compare, lambda _: f"{_nft(text)}\n", UNDO),
        item.file("firewall's rules", FILE, text),
        item.file("firewall's service", path, boot, mode, enable),
        Item("firewall at the start", ENABLED[init], _enabled, lambda _: enable),
    ]


def _nft(text: str) -> str:
    return f"nft -f - <<'END'\n{text}END"


def _look(text: str) -> str:
    """Return a script that lists the rules that hold, and ours as nft lists them elsewhere."""
    return f"""{LISTENING}
command -v nft >/dev/null || exit 0
echo ====
nft list {TABLE} 2>/dev/null || true
echo ====
unshare --net sh -c 'nft -f - && nft list {TABLE}' <<'END'
{text}END"""


def _compare(known: Collection[str], state: str) -> list[Difference]:
    sockets, held, wanted = ([part.strip() for part in state.split("====")] + ["", ""])[:3]
    if not held:
        closed = sorted(listening(sockets, outside=True) - CLIENTS - {*known}, key=_number)
        served = ", ".join(each for each in closed if _number(each) < PASSING)
        return [Difference(f"no rules; it closes {served}" if served else "no rules")]
    lines = difflib.ndiff(held.splitlines(), wanted.splitlines())
    words = {"-": "not ours", "+": "missing"}
    found = [f"{words[line[0]]}: {line[2:].strip()}" for line in lines if line[0] in words]
    more = [f"and {len(found) - SHOWN} lines more"] if len(found) > SHOWN else []
    return [Difference(each) for each in [*found[:SHOWN], *more]]


def _number(port: str) -> int:
    return int(port.partition("/")[0])


def _enabled(state: str) -> list[Difference]:
    return [] if state == "enabled" else [Difference("is not enabled")]
