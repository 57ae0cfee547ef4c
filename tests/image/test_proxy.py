"""The proxy in front of the app, as server.yml runs it: HTTPS by itself, which the app knows of."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterator

import pytest
from invoke import Context

from tasks.lib.deploys.proxy_check import VALIDATE
from tasks.lib.docker.cli import DockerError
from tasks.lib.environments.server_check import PROGRAM
from tasks.lib.orchestrators.servers import try_out
from tasks.lib.orchestrators.swarm.client import Swarm
from tests.image.proxies import HOST, ROOT_CERTIFICATE, Proxy, before, static_files
from tests.testbed import attacks
from tests.testbed.commands import ROOT, docker, until, works

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


def asked(proxy: Proxy, site: str) -> dict[str, str]:
    """What a replica says that asks the site itself; see docker/ask_site.py."""
    version = json.loads(proxy.ask_safely("/livez").read())["version"]
    words = (f"{proxy.id[:12]}:443", "app:8000", site, "/livez", "/", version, "5", "2")
    program = PROGRAM.read_text()
    return json.loads(proxy.web.execute("python", "-I", "-S", "-c", program, *words))


def test_a_replica_asks_the_site_past_name_and_certificate(proxy):
    assert asked(proxy, f"https://{HOST}") == {"by": "the proxy", "wrong": ""}


def test_a_replica_asks_the_app_as_long_as_the_proxy_has_no_certificate(start, redis, mark):
    options = [f"--network={redis}", "--network-alias=app"]
    web = start(options=options, SITE_URL="https://another.invalid")
    with before(web, mark, redis, HOST) as made:
        until(works(lambda: docker("exec", made.id, "ls", ROOT_CERTIFICATE)))
        until(lambda: answered(made))
        assert asked(made, "https://another.invalid") == {"by": "the app", "wrong": ""}


def test_a_proxy_that_stops_ends_a_connection_with_an_answer(start, redis, mark):
    web = start(options=[f"--network={redis}", "--network-alias=app"], SITE_URL="http://127.0.0.1")
    with before(web, mark, redis, ":80", "--env=PROXY_CLOSING=4s") as made:
        until(works(lambda: made.ask("/livez")))
        kept = http.client.HTTPConnection("127.0.0.1", made.port(80), timeout=10)

        def ask(path: str) -> str | None:
            kept.request("GET", path, headers={"Host": "127.0.0.1"})
            answer = kept.getresponse()
            answer.read()
            return answer.getheader("Connection")

        assert (ask("/livez"), ask("/static/none.css")) == (None, None)
        docker("kill", "--signal=TERM", made.id)
        assert until(lambda: ask("/livez")) == "close"
        # One that comes meanwhile is answered, too.
        assert ask("/static/none.css") == "close"


@pytest.mark.parametrize(("trusted", "status"), [("private_ranges", 200), ("", 301)])
def test_behind_something_that_has_the_certificate_its_word_counts_if_it_is_trusted(
    start, redis, mark, trusted, status
):
    web = start(options=[f"--network={redis}", "--network-alias=app"], SITE_URL=f"https://{HOST}")
    options = [f"--env=TRUSTED_PROXIES={trusted}"] if trusted else []
    with before(web, mark, redis, ":80", *options) as made:
        until(works(lambda: made.ask("/")))
        page = made.ask("/", **{"X-Forwarded-Proto": "https"})
        assert page.status == status
        assert made.ask("/").status == 301


@pytest.mark.parametrize(
    ("more", "address", "says"),
    [
        ("", "example.com", ""),
        ("\nnonsense.example {\n\trespnd hello\n}\n", ":80", "unrecognized directive: respnd"),
        ("", "two words {", "adapting config using caddyfile: Caddyfile:"),
    ],
)
def test_the_image_says_what_is_wrong_with_a_configuration(more, address, says):
    text = (ROOT / "docker/Caddyfile").read_text() + more
    rights = {"cap_drop": ["ALL"], "cap_add": ["NET_BIND_SERVICE"]}
    service = {"image": "caddy:2", "environment": {"SITE_ADDRESS": address}, **rights}
    command = ["sh", "-c", VALIDATE, "sh", text]
    if not says:
        return try_out(Swarm(Context(), {}), service, command)
    with pytest.raises(DockerError) as raised:
        try_out(Swarm(Context(), {}), service, command)
    assert says in raised.value.reason


def test_an_image_that_cannot_be_pulled_is_named():
    with pytest.raises(DockerError, match=r"Error response from daemon: .*localhost:1/") as raised:
        try_out(Swarm(Context(), {}), {"image": "localhost:1/none"}, ["true"])
    assert "localhost:1/" in raised.value.reason


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


def test_a_request_has_one_id_in_all_logs_and_nothing_private_is_in_them(proxy):
    headers = {"Cookie": "sessionid=canary-1", "Authorization": "Bearer canary-2"}
    headers |= {"X-Api-Key": "canary-3", "Referer": "https://a/?b=canary-4", "X-Request-ID": "mine"}
    paths = ("/no/where?token=canary-5", "/static/no.css?token=canary-5", "/admin/?next=canary-5")
    answers = [proxy.ask_safely(path, **headers) for path in paths]
    ids = [answer.getheader("X-Request-ID") for answer in answers]
    logged = docker("logs", proxy.id, both=True)
    lines = [json.loads(line) for line in logged.splitlines() if '"handled request"' in line]
    found = {line["request"]["uri"]: line["request_id"] for line in lines}
    assert [found[path.partition("?")[0]] for path in paths] == ids
    assert "mine" not in ids and len({*ids}) == 3
    until(lambda: ids[0] in proxy.web.logs())
    assert "canary" not in logged + proxy.web.logs()


def test_only_a_file_with_a_hash_in_its_name_is_kept_for_ever(proxy):
    sheet = proxy.web.execute("sh", "-c", "ls static/myapp/site.????????????.css")
    answers = [proxy.ask_safely(f"/{file}") for file in (sheet, "static/error.html")]
    kept = ["public, max-age=31536000, immutable", "no-cache"]
    assert [answer.getheader("Cache-Control") for answer in answers] == kept


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
