"""What a Swarm needs of bare servers: the ports among its nodes."""

from __future__ import annotations

from tasks.lib.orchestrators.swarm import peers
from tasks.lib.provisioning import firewall
from tasks.lib.provisioning.firewall import Traffic
from tests.orchestrators.servers import LocalHost


def test_the_addresses_of_nodes_are_read():
    shown = "0.0.0.0 10.0.0.1:2377\n10.0.0.2 \n10.0.0.3 10.0.0.3:2377\n"
    assert peers.addresses(shown) == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    assert peers.addresses("fd00::1 [fd00::1]:2377\nfd00:0::2 ") == {"fd00::1", "fd00::2"}
    assert peers.addresses("") == set()


def test_peers_are_those_of_the_swarm_or_else_those_of_the_rules():
    swarm, rules = (
        "swarm\n10.0.0.1 10.0.0.1:2377\n10.0.0.9 \n",
        "rules\n10.0.0.1, 10.0.0.2\nfd00::2\n",
    )
    assert peers.peers_of([swarm, rules]) == {"10.0.0.1", "10.0.0.9"}
    assert peers.peers_of([rules, "rules\n"]) == {"10.0.0.1", "10.0.0.2", "fd00::2"}


def test_the_rules_that_are_there_are_read(tmp_path):
    traffic = Traffic(["10.0.0.2", "10.0.0.1", "fd00::2"], tcp=[2377], udp=[7946])
    (tmp_path / "rules").write_text(firewall.rules({"22/tcp"}, traffic))
    script = peers.NODES.replace(firewall.FILE, str(tmp_path / "rules"))
    shown = LocalHost(tmp_path).run(f"docker() {{ false; }}; timeout() {{ false; }}\n{script}")
    assert peers.peers_of([shown]) == {*traffic.peers}
