"""Production's settings in processes of their own: starting, refusing to start, static files."""

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from django.test import SimpleTestCase

from .support import PRODUCTION, ROOT

VISIT = """
import django, json, sys
django.setup()
from django.conf import settings
from django.core.files.storage import storages
from django.core.management import call_command
from django.templatetags.static import static
from django.test import Client

call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=["admin"])
client = Client(headers={"host": "links.example.com"})

def get(path, secure=True, **headers):
    response = client.get(path, secure=secure, headers=headers)
    body = "" if response.streaming else response.content.decode()
    return {"status": response.status_code, "headers": dict(response.headers), "body": body}

css = static("myapp/site.css")
print(json.dumps({
    "storage": type(storages["staticfiles"]).__qualname__,
    "css": css,
    "brotli": get(css, **{"accept-encoding": "br"}),
    "gzip": get(css, **{"accept-encoding": "gzip"}),
    "insecure": get("/no/where?token=private", secure=False),
    "behind the proxy": get("/no/where", secure=False, **{"x-forwarded-proto": "https"}),
    "foreign host": get("/no/where", host="evil.example"),
    "live": get("/livez", secure=False, host="10.0.0.7:8000"),
    "ready": get("/readyz", secure=False, host="10.0.0.7:8000"),
}))
"""


def start(*command: str, **environ: str) -> "subprocess.Popen[str]":
    """Starts a Python process with these variables and no others of ours."""
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class ProductionStarts(SimpleTestCase):
    seen: dict[str, Any]
    log: list[dict[str, Any]]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        with tempfile.TemporaryDirectory() as folder:
            out, err = start("-c", VISIT, **PRODUCTION, STATIC_ROOT=folder).communicate(timeout=60)
        lines = [json.loads(line) for line in out.splitlines()]
        assert lines, err
        cls.log, cls.seen = lines[:-1], lines[-1]

    def test_static_files_are_hashed_and_compressed(self) -> None:
        self.assertEqual("CompressedManifestStaticFilesStorage", self.seen["storage"])
        self.assertRegex(self.seen["css"], r"^/static/myapp/site\.[0-9a-f]{12}\.css$")
        for encoding, name in (("br", "brotli"), ("gzip", "gzip")):
            headers = self.seen[name]["headers"]
            self.assertEqual(
                (200, encoding), (self.seen[name]["status"], headers["Content-Encoding"])
            )
            self.assertIn("immutable", headers["Cache-Control"])

    def test_plain_http_is_sent_to_https(self) -> None:
        self.assertEqual(301, self.seen["insecure"]["status"])

    def test_what_the_proxy_received_over_https_is_not_redirected(self) -> None:
        answer = self.seen["behind the proxy"]
        self.assertEqual(404, answer["status"])
        self.assertIn("max-age=31536000", answer["headers"]["Strict-Transport-Security"])
        self.assertIn('<p class="status">', answer["body"])

    def test_a_foreign_host_is_refused(self) -> None:
        self.assertEqual(400, self.seen["foreign host"]["status"])

    def test_probes_answer_any_host_over_plain_http(self) -> None:
        self.assertEqual(
            {"status": "ok", "version": "4f2a9c1"}, json.loads(self.seen["live"]["body"])
        )
        self.assertEqual(503, self.seen["ready"]["status"])
        self.assertRegex(
            json.loads(self.seen["ready"]["body"])["checks"]["migrations"], r"^\d+ pending$"
        )

    def test_each_request_is_a_line_of_json_with_its_id(self) -> None:
        lines = [line for line in self.log if line["logger"] == "myapp.request"]
        self.assertEqual(
            [301, 404, 400], [line["status"] for line in lines if "/no/where" in line["path"]]
        )
        self.assertEqual({("4f2a9c1", "web")}, {(each["version"], each["role"]) for each in lines})
        ids = {line["request_id"] for line in lines}
        self.assertEqual(len(lines), len(ids))
        self.assertIn(self.seen["insecure"]["headers"]["X-Request-ID"], ids)

    def test_the_log_holds_no_query_and_no_probe_that_went_well(self) -> None:
        self.assertNotIn("private", json.dumps(self.log))
        self.assertNotIn("/livez", json.dumps(self.log))

    def test_the_log_names_the_part_that_is_not_ready(self) -> None:
        messages = [line["message"] for line in self.log if "/readyz" in line["message"]]
        self.assertRegex(" ".join(messages), r"Not ready \(migrations \d+ pending\)")


class ProductionIsChecked(SimpleTestCase):
    def test_the_deployment_check_passes_over_https_and_http(self) -> None:
        check = ("manage.py", "check", "--deploy", "--fail-level", "WARNING")
        urls = ("https://links.example.com", "http://lab.local:8080")
        for process in [start(*check, **PRODUCTION | {"SITE_URL": url}) for url in urls]:
            out, err = process.communicate(timeout=60)
            self.assertEqual(0, process.returncode, out + err)


class ProductionRefusesToStart(SimpleTestCase):
    def test_every_way_in_says_in_one_line_what_is_missing(self) -> None:
        ways = (
            ("manage.py", "check"),
            ("-c", "import myapp.wsgi"),
            ("-m", "celery", "-A", "myapp", "worker"),
            ("-m", "celery", "-A", "myapp", "beat"),
        )
        environ = {"DJANGO_SETTINGS_MODULE": "myapp.settings.prod", "SECRETS_DIR": "/nowhere"}
        for process in [start(*way, **environ) for way in ways]:
            out, err = process.communicate(timeout=60)
            with self.subTest(command=process.args):
                self.assertEqual((1, ""), (process.returncode, out))
                self.assertEqual(1, len(err.splitlines()), err)
                self.assertIn(
                    "SECRET_KEY is missing, set it in the environment or in /nowhere", err
                )
                self.assertIn("DATABASE_URL is missing", err)
