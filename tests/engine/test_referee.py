"""k6 as the referee: it counts what fails, over connections that are kept and over new ones."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.testbed.commands import until
from tests.testbed.k6 import Referee

# k6 is installed with what else `--all` needs.
pytestmark = pytest.mark.engine


class Site(BaseHTTPRequestHandler):
    """Answers, but for every tenth request."""

    protocol_version = "HTTP/1.1"
    asked: Counter[tuple[str, int]]
    failed: list[str]

    def do_GET(self) -> None:
        self.asked[self.client_address] += 1
        bad = self.asked.total() % 10 == 0
        if bad:
            self.failed.append(self.path)
        if self.path == "/slow":
            time.sleep(0.05)
        self.send_response(500 if bad else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def site() -> Iterator[type[Site]]:
    """A site on 127.0.0.1; its url, and what it was asked."""
    made = type("Asked", (Site,), {"asked": Counter(), "failed": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), made) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made.url = f"http://127.0.0.1:{server.server_port}"
        yield made
        server.shutdown()


def test_what_is_not_answered_well_has_failed(site):
    with Referee(site.url, clients=2) as k6:
        until(lambda: site.asked.total() > 35)
    assert 30 < k6.total <= site.asked.total()
    assert 3 <= k6.failed == len(k6.complaints) <= len(site.failed)
    assert set(site.failed) <= {"/", "/livez"}


def test_it_asks_what_it_is_told_and_says_how_long_each_path_takes(site):
    with Referee(site.url, clients=2, paths=("/one", "/slow")) as k6:
        until(lambda: site.asked.total() > 35)
    assert set(site.failed) <= {"/one", "/slow"}
    assert k6.medians[0] < 0.05 <= k6.medians[1] < 1


def test_half_of_the_clients_keep_their_connection(site):
    with Referee(site.url, clients=2) as k6:
        until(lambda: site.asked.total() > 20)
    kept = [times for times in site.asked.values() if times > 1]
    assert len(kept) == 1
    assert len(site.asked) - 1 == pytest.approx(k6.total / 2, abs=3)


def test_load_goes_to_this_machine_only():
    with pytest.raises(ValueError, match="is not on"):
        Referee("http://links.example.com")
