"""`inv audit`: vulnerable pins, licences not allowed, secrets; a database that does not answer."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from threading import Thread

import pytest

from tasks.lib.app import python
from tasks.lib.checks import licences, secret_scan
from tasks.lib.checks.vulnerabilities import reason
from tasks.lib.project import requirements

VULNERABLE = {"package": {"name": "django", "ecosystem": "PyPI"}, "version": "3.2"}
ADVISORY = {
    "id": "PYSEC-2021-98",
    "aliases": ["CVE-2021-33203", "GHSA-68w8-qjq3-2gfm"],
    "summary": "Potential directory traversal via admindocs",
    "schema_version": "1.6.0",
    "published": "2021-06-08T18:15:00Z",
    "affected": [
        {
            "package": VULNERABLE["package"],
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "3"}, {"fixed": "3.2.4"}]}],
        }
    ],
}
Database = Callable[[int], str]


@pytest.fixture
def database() -> Iterator[Database]:
    """Serves OSV's query API as documented, knowing one advisory; fails after so many answers."""
    servers = []

    def start(answers: int = 10**6) -> str:
        left = iter(range(answers))

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                known = {"vulns": [ADVISORY]} if asked == VULNERABLE else {}
                self.send_response(200 if next(left, None) is not None else 503)
                self.end_headers()
                self.wfile.write(json.dumps(known).encode())

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever).start()
        return f"http://127.0.0.1:{server.server_port}/v1/query"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def nowhere() -> str:
    """The address of a database that does not listen."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1/query"


@pytest.fixture
def small(clone: Path) -> Path:
    """A clone with little else than the tasks and the lock files, which is quickly looked at."""
    for name in ("bench", "docs", "lab", "myapp", "tests"):
        shutil.rmtree(clone / name)
    return clone


def pin_django(root: Path) -> None:
    """Lock a vulnerable Django in a file that ./inv does not install."""
    with (root / "requirements/dev.txt").open("a") as file:
        file.write(f"django==3.2 \\\n    --hash=sha256:{'0' * 64}\n")


def test_a_vulnerable_pin_is_shown_with_the_version_that_fixes_it(small, inv, database):
    pin_django(small)
    done = inv("audit", root=small, INVOKE_AUDIT_DATABASE=database())
    assert done.returncode == 1
    assert "vulnerabilities  django 3.2: PYSEC-2021-98: Potential directory" in done.stdout
    assert "requirements/dev.txt  inv requirements --upgrade: fixed in 3.2.4" in done.stdout
    assert "inv: failed: vulnerabilities - see above" in done.stderr


def test_without_a_problem_it_passes_and_shows_what_it_checked(small, inv, database):
    done = inv("audit", root=small, INVOKE_AUDIT_DATABASE=database())
    assert done.returncode == 0, done.stderr
    packages = len({(pin.name, pin.version) for pin in requirements.pins()})
    assert f"vulnerabilities: none in {packages} packages" in done.stderr


def test_an_accepted_vulnerability_passes_by_any_of_its_names(small, inv, database):
    pin_django(small)
    settings = small / "invoke.yaml"
    accepted = "  accepted:\n    CVE-2021-33203: admindocs is not installed\n"
    settings.write_text(settings.read_text().replace("  accepted:\n", accepted))
    done = inv("audit", root=small, INVOKE_AUDIT_DATABASE=database())
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_database_that_does_not_answer_never_means_no_vulnerabilities(small, inv, nowhere):
    done = inv("audit", root=small, INVOKE_AUDIT_DATABASE=nowhere)
    assert done.returncode == 1
    line = next(line for line in done.stderr.splitlines() if "vulnerabilities: " in line)
    assert f"{nowhere} does not answer: Failed to establish a new connection" in line
    assert "retry, set audit.database in invoke.yaml to a mirror" in line
    assert "none in" not in line
    assert "Traceback" not in done.stderr


def test_a_database_that_stops_midway_never_means_no_vulnerabilities(small, inv, database):
    done = inv("audit", root=small, INVOKE_AUDIT_DATABASE=database(20))
    assert done.returncode == 1
    assert "/v1/query does not answer: " in done.stderr
    assert "503" in done.stderr


def test_the_project_itself_passes(clone, inv):
    done = inv("audit", "--offline", root=clone)
    assert done.returncode == 0, done.stdout + done.stderr


def test_offline_says_that_vulnerabilities_are_left_out(small, inv, nowhere):
    done = inv("audit", "--offline", root=small, INVOKE_AUDIT_DATABASE=nowhere)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning: offline: known vulnerabilities are not checked" in done.stderr
    assert "vulnerabilities: " not in done.stderr


def test_a_licence_that_is_not_allowed_is_shown(small, inv):
    settings = small / "invoke.yaml"
    kept = [line for line in settings.read_text().splitlines(True) if "pyuwsgi" not in line]
    settings.write_text("".join(kept).replace("  accepted:\n", "  accepted: {}\n"))
    done = inv("audit", "--offline", root=small)
    assert done.returncode == 1
    assert "GNU General Public License v2 (GPLv2)  requirements/app.txt" in done.stdout
    assert "inv: failed: licences - see above" in done.stderr


# In two parts where a whole one would be found here.
SECRETS = {
    "AWS Access Key": "KEY = 'AKIA" + "Q7ZK3MWE5PLR2VXN'",
    "GitHub Token": "client = Client('ghp_" + "9fKq2LmZx7RtVb3NcYw8" + "HsJd5GpAe1QuTi6o')",
    "Private Key": "-----BEGIN " + "OPENSSH PRIVATE KEY-----",
    "Secret Keyword": "PASSWORD = 'correct-horse-battery'",
    "Basic Auth Credentials": "url = 'https://robot:kd83hf7x@example.com/'",
    "Hex High Entropy String": "salt = '9d1c7e03b5a84f62c0e9d7b31f5a8246'",
}


def test_secrets_are_reported_by_kind_and_location_and_not_shown(small, inv):
    (small / "leaky.py").write_text("\n".join(SECRETS.values()))
    done = inv("audit", "--offline", root=small)
    assert done.returncode == 1
    for line, (kind, text) in enumerate(SECRETS.items(), start=1):
        assert f"{kind} " in done.stdout
        assert f" leaky.py:{line} " in done.stdout
        assert text not in done.stdout + done.stderr
    assert "inv: failed: secrets - see above" in done.stderr


def test_a_marked_line_is_no_secret(tmp_path):
    file = tmp_path / "leaky.py"
    file.write_text("".join(f"{text}  # pragma: allowlist secret\n" for text in SECRETS.values()))
    assert secret_scan.find([file]) == []


def test_in_tests_made_up_passwords_pass_and_real_tokens_do_not(tmp_path):
    file = tmp_path / "test_leaky.py"
    file.write_text("\n".join(SECRETS.values()))
    kinds = {each.kind for each in secret_scan.find([file])}
    assert kinds & SECRETS.keys() == {"AWS Access Key", "GitHub Token", "Private Key"}


def test_a_text_may_speak_of_passwords_and_hold_none(tmp_path):
    file = tmp_path / "README.md"
    file.write_text("`secrets.set`, `secrets.list`\n" + "\n".join(SECRETS.values()))
    found = {each.kind for each in secret_scan.find([file])}
    assert found >= SECRETS.keys() - {"Secret Keyword"}
    assert "Secret Keyword" not in found


def test_all_problems_are_shown_at_once(small, inv, nowhere):
    (small / "leaky.py").write_text(SECRETS["AWS Access Key"])
    done = inv("audit", root=small, INVOKE_AUDIT_DATABASE=nowhere)
    assert "inv: failed: secrets, vulnerabilities - see above" in done.stderr


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("MIT", True),
        ("BSD License", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("MIT AND (BSD License OR GPL-3.0-only)", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("GNU Library or Lesser General Public License (LGPL)", False),
        ("Dual (see file", False),
    ],
)
def test_an_expression_of_licences_is_understood(licence, expected):
    assert licences.allowed(licence, {"MIT", "BSD License"}) is expected


def pin(name: str, version: str = "1.0", marker: str = "") -> requirements.Pin:
    return requirements.Pin(name, version, marker, "requirements/app.txt")


def test_a_package_that_is_not_installed_in_this_version_has_no_licence():
    folder = python.packages(sys.executable)
    here = pin("pytest", metadata.version("pytest"))
    assert licences.stated(here, folder) == ["MIT"]
    assert licences.stated(pin("planted"), folder) == []
    assert licences.stated(pin("pytest", "1.0"), folder) == []


def test_what_is_only_for_windows_or_old_pythons_does_not_ship():
    markers = ["", "sys_platform == 'win32'", "python_full_version < '3.11.3'"]
    markers += ["python_full_version >= '3.12'"]
    pins = [pin("planted", marker=marker) for marker in markers]
    assert licences.shipped(pins) == [pins[0], pins[3]]


def test_pins_are_read_with_their_markers():
    assert pin("tzdata").name in {each.name for each in requirements.pins("app")}
    markers = {each.name: each.marker for each in requirements.pins("app")}
    assert markers["tzdata"] == "sys_platform == 'win32'"
    assert markers["celery"] == ""


LOGS = [
    ("", "pip-audit gives no reason"),
    ("Traceback\n  x\nrequests.exceptions.ReadTimeout: it took 15 s\n", "it took 15 s"),
    ("a.HTTPError: 503 Server Error\n\nTraceback:\n\nb.ServiceError\n", "503 Server Error"),
    ("a.ConnectionError: Pool(Caused by NewError('x: refused'))", "refused"),
]


@pytest.mark.parametrize(("log", "expected"), LOGS)
def test_a_reason_is_found_in_a_log(log, expected):
    assert reason(log) == expected
