"""The proxy in front of the app, as server.yml runs it: HTTPS by itself, which the app knows of."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator

import pytest

from tests.image.proxies import HOST, ROOT_CERTIFICATE, Proxy, before, static_files
from tests.testbed import attacks
from tests.testbed.commands import docker, until, works

pytestmark = pytest.mark.engine
# What every answer has, from the app or the proxy.
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
    "X-Content-Type-Options": "nosniff",
}


@pytest.fixture
def proxy(start, redis, mark, image) -> Iterator[Proxy]:
    """A proxy before a web server that is behind HTTPS."""
    options = [f"--network={redis}", "--network-alias=app"]
    web = start(options=options, SITE_URL=f"https://{HOST}")
    with static_files(mark, image) as files:
        volume = f"--volume={files}:/srv/static:ro"
        with before(web, mark, redis, HOST, volume) as made:
            until(works(lambda: docker("exec", made.id, "ls", ROOT_CERTIFICATE)))
            until(lambda: answered(made))
            yield made


def test_it_has_a_certificate_and_sends_everybody_to_https(proxy):
    page = proxy.ask_safely("/")
    assert page.status == 200
    assert "secure" in (page.getheader("Set-Cookie") or "").lower()

    plain = proxy.ask("/?a=b")
    assert (plain.status, plain.getheader("Location")) == (308, f"https://{HOST}/?a=b")
    assert proxy.ask_safely("/livez").read().startswith(b'{"status": "ok"')


def test_every_answer_protects_its_page(proxy):
    sheet = proxy.web.execute("sh", "-c", "ls static/myapp/site.????????????.css")
    icon = proxy.web.execute("sh", "-c", "ls static/myapp/icon.????????????.svg")
    answers = [proxy.ask_safely(path) for path in ("/", "/admin/", "/livez", "/no/where")]
    answers += [proxy.ask_safely(f"/{file}") for file in (sheet, icon, "static/no.css")]
    proxy.web.stop()
    answers.append(proxy.ask_safely("/"))
    assert [answer.status for answer in answers] == [200, 302, 200, 404, 200, 200, 404, 503]
    for answer in answers:
        assert {name: answer.getheader(name) for name in HEADERS} == HEADERS
        assert "default-src 'self'" in answer.getheader("Content-Security-Policy", "")
        assert not answer.getheader("Server") and not answer.getheader("Via")
    assert "The site cannot answer right now" in answers[-1].read().decode()


def test_streams_that_are_reset_at_once_harm_nobody(proxy):
    for _ in range(5):
        with proxy.connect("h2") as connection:
            assert connection.selected_alpn_protocol() == "h2"
            attacks.rapid_reset(connection, HOST, 5000)
        start = time.monotonic()
        assert proxy.ask_safely("/").status == 200
        assert time.monotonic() - start < 3
    proxy.web.execute("/app/docker/healthcheck")


def answered(proxy):
    """The page, as soon as the certificate is there."""
    try:
        return proxy.ask_safely("/")
    except ssl.SSLError:
        return None
