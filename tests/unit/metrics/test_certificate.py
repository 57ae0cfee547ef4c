"""A certificate that ends soon, seen by a real blackbox exporter and a real Prometheus."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from tests.testbed import certificates, prometheus
from tests.testbed.commands import free_port, page, until

PROGRAM = "prometheus-blackbox-exporter"


@contextmanager
def serving(folder: Path, port: int, days: int) -> Iterator[None]:
    """Serve HTTPS with a new certificate."""
    certificates.write(folder, days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    server = ThreadingHTTPServer(("127.0.0.1", port), SimpleHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def blackbox(tmp_path: Path) -> Iterator[int]:
    """The port of a blackbox exporter that also trusts our authority."""
    if not shutil.which(PROGRAM):
        pytest.skip(f"no program {PROGRAM}: install Debian's package of that name")
    settings = yaml.safe_load((prometheus.FOLDER / "blackbox.yml").read_text())
    settings["modules"]["site"]["http"]["tls_config"] = {"ca_file": str(tmp_path / "ca.pem")}
    (tmp_path / "blackbox.yml").write_text(yaml.safe_dump(settings))
    port = free_port()
    words = [f"--config.file={tmp_path}/blackbox.yml", f"--web.listen-address=127.0.0.1:{port}"]
    with (tmp_path / "blackbox.log").open("w") as log:
        process = subprocess.Popen([PROGRAM, *words], stdout=log, stderr=log)
    try:
        until(lambda: page(f"http://127.0.0.1:{port}/-/healthy"))
        yield port
    finally:
        process.kill()
        process.wait()


def test_a_certificate_that_ends_soon_is_told_until_it_is_renewed(blackbox, tmp_path):
    prometheus.required()
    port = free_port()
    with prometheus.measuring(tmp_path, f"https://127.0.0.1:{port}/", blackbox) as measured:
        with serving(tmp_path, port, 13):
            until(lambda: measured.firing() == {"CertificateExpires"}, 60)
            assert [each["value"][1] for each in measured.ask("probe_success")] == ["1"]
            assert "CertificateExpires" in measured.page()
        with serving(tmp_path, port, 60):
            until(lambda: measured.ask("probe_success == 1") and not measured.firing(), 60)
