"""Attacks on a site of a lab: nobody else notices, and no replica is stopped for it."""

from __future__ import annotations

import time

import pytest

from tests.testbed import attacks
from tests.testbed.attacks import FORM, HEAD, Attack, Huge, crowd, form, post, stream
from tests.testbed.k6 import Referee
from tests.testbed.onehost import OneHost
from tests.testbed.sites import Site

from . import faults

pytestmark = pytest.mark.engine
# Seconds that an attack lasts, and those that the site may be slower by on a busy machine.
LASTS, NOISE = 12, 0.3
SIZE = attacks.MEGABYTE - 1
MALFORMED = [*attacks.MALFORMED.values()]
QUICK = {
    "many headers": stream([attacks.MALFORMED["many headers"]], 0.5),
    "slow bodies": crowd(40, f"{FORM}Content-Length: 1000\r\n\r\n", b"a"),
    "huge bodies": stream(Huge(), 1),
    "malformed requests": stream(MALFORMED, 0.1),
}
SLOW = {
    "slowloris": crowd(300, f"GET / HTTP/1.1\r\n{HEAD}x-a: ", b"a"),
    "slow readers": crowd(100, f"GET / HTTP/1.1\r\n{HEAD}\r\n" * 5),
    "bodies that never end": crowd(40, f"{FORM}Content-Length: {SIZE + 1}\r\n\r\n{'a' * SIZE}"),
    "chunks that never end": crowd(40, f"{FORM}Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    "10,000 idle connections": crowd(10_000, b""),
    "large forms for no page": stream([post(b"a" * SIZE).replace(b" / ", b" /no/where ")], 0.1),
    "wrong passwords": stream(
        [post(form(username="a", password="b")).replace(b" / ", b" /admin/login/ ")], 0.1
    ),
}


_usual: dict[str, Referee] = {}


@pytest.fixture
def usual(site: Site) -> Referee:
    """What clients of the site see when nobody attacks it."""
    if site.url not in _usual:
        with Referee(site.url) as k6:
            time.sleep(LASTS)
        assert (k6.failed, k6.complaints) == (0, [])
        _usual[site.url] = k6
    return _usual[site.url]


def survives(site: Site, usual: Referee, name: str, attack: attacks.Work) -> None:
    """See that an attack harms neither another client nor a replica."""
    before = site.tasks("proxy", "app")
    with Referee(site.url) as k6, Attack(attack, site.url):
        time.sleep(LASTS)
    print(f"usual {usual}; attacked {k6}")
    assert (k6.failed, k6.complaints) == (0, [])
    assert k6.total > usual.total / 2
    assert k6.p99 < 2 * usual.p99 + NOISE
    assert site.tasks("proxy", "app") == before
    site.serves(site.good)
    if not isinstance(site, OneHost):
        faults.record_attack(name, usual, k6)


@pytest.mark.either
@pytest.mark.parametrize("name", QUICK)
def test_nobody_notices(site, usual, name):
    survives(site, usual, name, QUICK[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_nobody_notices_either(site, usual, name):
    survives(site, usual, name, SLOW[name])
