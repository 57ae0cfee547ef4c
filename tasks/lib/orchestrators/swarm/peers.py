"""What a Swarm needs of bare servers: Docker, and the ports among the servers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

from ...provisioning import firewall, server
from ...provisioning.facts import Facts
from ...provisioning.firewall import Traffic
from ...ssh.host import Host
from .. import installation
from ..needs import Needs

# 2377 for the managers, 7946 for gossip, 4789 for overlay networks, 50 (ESP) for encrypted ones.
TRAFFIC = Traffic((), (2377, 7946), (4789, 7946), (50,), ("docker0", "docker_gwbridge"))
# The addresses of all nodes of the Swarm, also of those that other environments have. Where no
# manager can list them, those of the rules that are there must do: none may be shut out meanwhile.
NODES = f"""
if nodes=$(timeout 20 docker node ls --quiet 2>/dev/null); then
    echo swarm
    form='{{{{.Status.Addr}}}} {{{{with .ManagerStatus}}}}{{{{.Addr}}}}{{{{end}}}}'
    docker node inspect --format "$form" $nodes
else
    echo rules
    sed -n 's/.* saddr {{ \\(.*\\) }} tcp .*/\\1/p' {firewall.FILE} 2>/dev/null || true
fi
"""


def needs(hosts: Sequence[Host], facts: Sequence[Facts], user: str, source: str) -> Needs:
    """Return what servers need; see base.Orchestrator.needs."""
    listed = [server.as_root(host, NODES, changes=False) for host in hosts]
    peers = peers_of(listed) | {each.address for each in facts}
    traffic = replace(TRAFFIC, peers=sorted(peers))
    items = [installation.items(each, user, source, swarm=True) for each in facts]
    return Needs(items, traffic, installation.HELD)


def peers_of(listed: Sequence[str]) -> set[str]:
    """Return the addresses of a Swarm's nodes, from what NODES printed on each server."""
    swarm = [text for text in listed if text.startswith("swarm\n")]
    return {each for text in swarm or listed for each in addresses(text.partition("\n")[2])}


def addresses(listed: str) -> set[str]:
    """Return the addresses of nodes, as docker shows them; a leader's first one is 0.0.0.0."""
    found = set()
    for word in listed.replace(",", " ").split():
        text = word.rpartition(":")[0].strip("[]") if word.count(":") == 1 or "[" in word else word
        if not (address := ip_address(text)).is_unspecified:
            found.add(str(address))
    return found
