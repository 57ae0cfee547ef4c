"""The site, asked beside its replicas: by its name, whatever its certificate is."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from tasks.lib.environments import server_check
from tasks.lib.environments.server_check import PROGRAM
from tasks.lib.orchestrators.stack import Stack
from tests.orchestrators.servers import Quiet, serving


class Site(Quiet):
    """Answers for site.example only, and says by which scheme it is asked."""

    def do_GET(self) -> None:
        """Answer."""
        mine = self.headers["Host"] == "site.example"
        scheme = self.headers["X-Forwarded-Proto"]
        body = {"version": "abc", "scheme": scheme} if self.path == "/livez" else "home"
        self.answer(200 if mine else 400, json.dumps(body).encode())


class Broken(Site):
    """Its home page fails."""

    def do_GET(self) -> None:
        """Answer."""
        self.answer(*((500,) if self.path == "/" else (200, b'{"version": "abc"}')))


def ask(proxy: str, app: str = "127.0.0.1:1", scheme: str = "https", version: str = "abc"):
    """What the program says, whose patience is short."""
    words = (proxy, app, f"{scheme}://site.example", "/livez", "/", version, "3", "0.2")
    command = [sys.executable, "-I", "-S", str(PROGRAM), *words]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> ssl.SSLContext:
    """A server that has a certificate, which nobody trusts, for site.example only."""
    key, name = generate_private_key(SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    made = made.public_key(key.public_key()).not_valid_before(now - timedelta(1))
    certificate = made.not_valid_after(now + timedelta(1)).sign(key, hashes.SHA256())
    file = tmp_path_factory.mktemp("tls") / "pem"
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, *form)
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    def named(_: object, asked: str | None, __: object) -> int | None:
        return None if asked == "site.example" else ssl.ALERT_DESCRIPTION_INTERNAL_ERROR

    context.sni_callback = named
    return context


def behind(context: ssl.SSLContext, handler: type[Quiet] = Site) -> type[Quiet]:
    """A site behind TLS."""

    class Secure(handler):
        def setup(self) -> None:
            self.request = context.wrap_socket(self.request, server_side=True)
            super().setup()

    return Secure


def test_a_site_without_tls_answers_by_the_proxy():
    with serving(Site) as proxy:
        assert ask(proxy, scheme="http") == {"by": "the proxy", "wrong": ""}


def test_a_certificate_that_nobody_trusts_is_enough(tls):
    with serving(behind(tls)) as proxy:
        assert ask(proxy) == {"by": "the proxy", "wrong": ""}


def test_without_a_certificate_the_app_itself_is_asked():
    none = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with serving(behind(none)) as proxy, serving(Site) as app:
        assert ask(proxy, app) == {"by": "the app", "wrong": ""}


@pytest.mark.parametrize(
    ("handler", "version", "expected"),
    [
        (Site, "abcd", "/livez answers with version abc, not abcd"),
        (Broken, "abc", "/ answers 500"),
        (Quiet, "abc", "/livez answers 501"),
    ],
)
def test_what_is_wrong_is_said(handler, version, expected):
    with serving(handler) as proxy:
        assert ask(proxy, scheme="http", version=version)["wrong"] == expected


@pytest.mark.parametrize(
    ("url", "ports", "expected"),
    [
        ("https://a.example", [80, 443], "proxy:443"),
        ("http://a.example", [80, 443], "proxy:80"),
        # HTTPS ends in front of it.
        ("https://a.example", [80], "proxy:80"),
    ],
)
def test_the_proxy_is_asked_at_a_port_that_it_has(url, ports, expected):
    services = {"app": {"image": "a"}, "proxy": {"ports": [{"target": port} for port in ports]}}
    assert server_check._proxy(Stack("shop", "a", {"services": services}), url) == expected


def test_a_proxy_that_is_not_there_is_said():
    assert "does not answer: [Errno 111]" in ask("127.0.0.1:1")["wrong"]
