"""What a stranger sends to the proxy: each request is answered, and harms nobody else."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest

from tests.image.conftest import starter
from tests.image.proxies import Proxy, before, static_files
from tests.testbed import attacks
from tests.testbed.attacks import Attack, ask, chunked, crowd, form, get, many, post, status
from tests.testbed.commands import docker, until

pytestmark = pytest.mark.engine
# What the proxy says of a replica that gave no answer, and the app of a mistake of its own.
BROKEN = {500, 502, 503, 504}
TOO_LARGE = "Request Entity Too Large"
# Headers that say who a client is and how it came, and names that the app takes for the same.
FORGED = """\
X-Forwarded-For: 192.0.2.1
X-Forwarded-Proto: https
X-Forwarded-Host: forged.example
X_Forwarded_For: 192.0.2.1
X_Forwarded_Proto: https
""".replace("\n", "\r\n")


@pytest.fixture(scope="module")
def site(mark, image) -> Iterator[Proxy]:
    """A proxy for every name over plain HTTP, before one web server."""
    network = f"{mark}-limits"
    docker("network", "create", f"--label={mark}", network)
    options = [f"--network={network}", "--network-alias=app"]
    for start in starter(mark, image):
        web = start(options=options, SITE_URL="http://127.0.0.1", ALLOWED_HOSTS="127.0.0.1")
        with static_files(mark, image) as files:
            volume = f"--volume={files}:/srv/static:ro"
            with before(web, mark, network, ":80", volume) as made:
                yield made


def test_nothing_that_a_client_sends_looks_like_a_broken_replica(site):
    answers = {}
    for name, request in attacks.MALFORMED.items():
        answers[name] = status(ask(site.address, request, patience=4))
    print(*answers.items(), sep="\n")
    assert not {name: code for name, code in answers.items() if code in BROKEN}
    assert status(ask(site.address, get())) == 200


def test_the_projects_page_says_why_a_request_is_refused(site):
    for request, code, why in (
        (post(b"").replace(b"Length: 0", b"Length: 62914560"), 413, TOO_LARGE),
        (post(b"a" * (3 << 20)), 413, TOO_LARGE),
        (chunked(form(target="https://example.com")), 411, "Length Required"),
        (get(headers=many(200)), 431, "This request is too large"),
    ):
        answer = ask(site.address, request)
        assert status(answer) == code
        assert f"<h1>{why}</h1>" in "".join(line.strip() for line in answer.splitlines())


def test_slow_bodies_keep_no_thread_and_no_probe_from_its_work(site):
    head = f"{attacks.FORM}Content-Length: 1000\r\n\r\n"
    with Attack(crowd(40, head, b"a"), f"http://127.0.0.1:{site.port(80)}"):
        time.sleep(5)
        for _ in range(20):
            start = time.monotonic()
            assert status(ask(site.address, get())) == 200
            assert time.monotonic() - start < 1
        site.web.execute("/app/docker/healthcheck")


def test_uploads_that_clients_break_off_do_not_fill_the_log(site):
    for _ in range(5):
        with socket.create_connection((site.address.host, site.address.port)) as client:
            client.sendall(post(b"").replace(b"Length: 0", b"Length: 1000") + b"half")
            time.sleep(0.2)

    def lines(of: str) -> list[str]:
        return [line for line in docker("logs", site.id, both=True).splitlines() if of in line]

    # The proxy tries to pass each on for 10 seconds, several times in each.
    until(lambda: len([x for x in lines("handled request") if '"bytes_read":4,' in x]) == 5, 30)
    assert 0 < len(lines("http.handlers.reverse_proxy")) < 60


def test_a_client_cannot_say_who_it_is_nor_how_it_came(site):
    for extra in ("", "Connection: X-Forwarded-For, X-Forwarded-Proto\r\n"):
        answer = ask(site.address, get(headers=FORGED + extra))
        assert status(answer) == 200
        assert "forged.example" not in answer and "strict-transport" not in answer.lower()
        assert status(ask(site.address, get("/readyz", FORGED + extra))) == 404
    other = get().replace(b"127.0.0.1", b"forged.example")
    assert status(ask(site.address, other)) == 400


PATHS = [
    "/static/../../etc/passwd",
    "/static/%2e%2e/%2e%2e/etc/passwd",
    "/static/..%2f..%2fetc/passwd",
    "/static//etc/passwd",
    "/static/..\\..\\etc\\passwd",
    "/static/%00",
    "/static/",
    "/static",
    "//etc/passwd",
    "/static/myapp/",
    "/static/staticfiles.json%00.css",
    "/./readyz",
    "//readyz",
    "/static/../readyz",
    "/%2e/readyz",
    "/readyz/",
    "/READYZ",
    "/%2freadyz",
    "/livez/../readyz",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_out_of_what_is_served(site, path):
    answer = ask(site.address, get(path))
    assert status(answer) in {301, 308, 400, 404}, answer
    assert "root:" not in answer and '"checks"' not in answer


def test_the_app_itself_says_to_the_inside_whether_it_is_ready(site):
    answer, body = site.web.get("/readyz")
    assert answer.status == 200
    assert json.loads(body)["checks"]["database"] == "ok"
