"""The ports of a server at which its processes listen."""

from __future__ import annotations

# The kernel's sockets that listen (TCP) or are bound (UDP); their ports are hexadecimal.
LISTENING = """
cd /proc/net && awk '$4 ~ /^(0A|07)$/ {print FILENAME, $2}' tcp tcp6 udp udp6 2>/dev/null || true
"""
LOOPBACK6, MAPPED = "00000000000000000000000001000000", "0000000000000000FFFF0000"


def listening(shown: str, outside: bool = False) -> set[str]:
    """Return the ports of the kernel's list of sockets, as PORT/PROTOCOL.

    Args:
        outside: leave out those that only the server itself can reach.
    """
    found = set()
    for line in shown.splitlines():
        file, address = line.split()
        host, _, port = address.rpartition(":")
        if not (outside and _is_loopback(host)):
            found.add(f"{int(port, 16)}/{file.removesuffix('6')}")
    return found


def _is_loopback(host: str) -> bool:
    """Return whether an address is the loopback's; the bytes of each of its words are reversed."""
    plain = host.removeprefix(MAPPED)
    return host == LOOPBACK6 or (len(plain) == 8 and plain.endswith("7F"))
