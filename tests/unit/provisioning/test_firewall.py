"""The firewall's rules are exactly what was asked for, and what differs is named line by line."""

from __future__ import annotations

import pytest

from tasks.lib.provisioning import firewall, sockets
from tasks.lib.provisioning.firewall import Traffic

CLUSTER = Traffic(["10.0.0.2", "fd00::2", "10.0.0.1"], [2377, 7946], [7946], [50], ["docker0"])
RULES = f"""\
# {firewall.item.MARK}.
table inet deploy
delete table inet deploy
table inet deploy {{
chain input {{
type filter hook input priority -10; policy drop;
ct state established,related accept
iifname lo accept
meta l4proto {{ 1, 58 }} accept
udp sport 67 udp dport 68 accept
ip6 saddr fe80::/10 udp dport 546 accept
tcp dport {{ 22, 443 }} accept
udp dport {{ 443 }} accept
ip saddr {{ 10.0.0.1, 10.0.0.2 }} tcp dport {{ 2377, 7946 }} accept
ip saddr {{ 10.0.0.1, 10.0.0.2 }} udp dport {{ 7946 }} accept
ip saddr {{ 10.0.0.1, 10.0.0.2 }} meta l4proto {{ 50 }} accept
ip6 saddr {{ fd00::2 }} tcp dport {{ 2377, 7946 }} accept
ip6 saddr {{ fd00::2 }} udp dport {{ 7946 }} accept
ip6 saddr {{ fd00::2 }} meta l4proto {{ 50 }} accept
}}
chain forward {{
type filter hook forward priority -10; policy accept;
ct state established,related accept
meta l4proto tcp ct status dnat ct original proto-dst {{ 22, 443 }} accept
meta l4proto udp ct status dnat ct original proto-dst {{ 443 }} accept
ct status dnat drop
iifname != {{ "docker0" }} oifname {{ "docker0" }} drop
ip daddr {{ 10.0.0.1, 10.0.0.2 }} tcp dport {{ 2377, 7946 }} drop
ip daddr {{ 10.0.0.1, 10.0.0.2 }} udp dport {{ 7946 }} drop
ip daddr {{ 10.0.0.1, 10.0.0.2 }} meta l4proto {{ 50 }} drop
ip6 daddr {{ fd00::2 }} tcp dport {{ 2377, 7946 }} drop
ip6 daddr {{ fd00::2 }} udp dport {{ 7946 }} drop
ip6 daddr {{ fd00::2 }} meta l4proto {{ 50 }} drop
}}
}}
"""


def test_only_what_was_opened_comes_in_and_the_cluster_talks_among_its_servers():
    assert firewall.rules({"443/tcp", "22/tcp", "443/udp"}, CLUSTER) == RULES


def test_a_set_without_elements_is_no_rule():
    text = firewall.rules({"22/tcp"}, Traffic())
    assert "{  }" not in text and "udp dport { " not in text and "saddr {" not in text


def compared(*parts: str, known: frozenset[str] = frozenset({"22/tcp"})) -> list[str]:
    """What differs in a state of these parts: sockets, rules that hold, rules that are wanted."""
    (first, *_) = firewall.items("", "systemd", known)
    return [each.what for each in first.compare("\n====\n".join(parts))]


def test_rules_that_hold_are_compared_line_by_line():
    assert compared("", "a\n b", "a\n b") == []
    assert compared("", "a\n x", "a\n b") == ["not ours: x", "missing: b"]
    many = compared("", "a", "b\nc\nd\ne")
    assert many == ["not ours: a", "missing: b", "missing: c", "and 2 lines more"]


@pytest.mark.parametrize(
    ("sockets", "said"),
    [
        ("tcp 00000000:0016", "no rules"),
        ("tcp 00000000:238C", "no rules; it closes 9100/tcp"),
        ("tcp 0100007F:238C\ntcp6 00000000000000000000000001000000:238C", "no rules"),
        ("tcp6 0000000000000000FFFF00000100007F:238C", "no rules"),
        ("udp 00000000:0044\nudp 00000000:D431\nudp6 " + "0" * 32 + ":CA6C", "no rules"),
        ("udp 00000000:10F7\ntcp 0500000A:0050", "no rules; it closes 80/tcp, 4343/udp"),
    ],
)
def test_a_plan_names_the_ports_that_would_be_closed(sockets, said):
    assert compared(sockets, "", "table inet deploy {}") == [said]


def test_the_kernels_sockets_are_read():
    shown = "tcp 0100007F:0050\ntcp6 00000000000000000000000000000000:01BB\nudp 00000000:0035\n"
    assert sockets.listening(shown) == {"80/tcp", "443/tcp", "53/udp"}
    assert sockets.listening(shown, outside=True) == {"443/tcp", "53/udp"}


@pytest.mark.parametrize(("init", "state"), [("systemd", "disabled"), ("sysv", "")])
def test_rules_that_do_not_come_back_after_a_restart_differ(init, state):
    last = firewall.items("", init, set())[-1]
    assert last.compare("enabled") == []
    assert [each.what for each in last.compare(state)] == ["is not enabled"]
