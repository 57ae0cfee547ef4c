"""What fails goes to Sentry, and traces go out with OpenTelemetry: to small real receivers."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.testbed import reported
from tests.testbed.commands import ROOT, free_port, output, until
from tests.testbed.measured import PROCESSES, Served, environment, served
from tests.testbed.receivers import Receiver, receiver

ORDER, FORM = "POST order/<str:job>", {"method": "POST", "body": "card=4111"}
# Seconds: how long most requests may take whatever the receiver does, and a process to end: a
# worker takes 6 without any of this. What waited for a late receiver would take 2, and 30.
SOON, END = 0.5, 20


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def site(there, tmp_path) -> Iterator[Served]:
    """A project with jobs, which reports to the receiver."""
    with reporting(there, tmp_path) as one:
        yield one


def reporting(there: Receiver, folder: Path, **more: str) -> Any:
    env = reported.variables(there, **more)
    return served(folder, metrics=False, settings="small_jobs", **env)


def got(there: Receiver, name: str) -> dict[str, Any]:
    """Return the first span of a name, once it has come."""
    return until(lambda: reported.spans(there, name), pause=0.3)[0]


def test_an_error_is_told_with_its_release_environment_view_and_request(site, there):
    assert site.get("/fail", **{"X-Request-ID": "one"})[0] == 500
    (event,) = until(lambda: reported.events(there), pause=0.3)
    assert (event["release"], event["environment"]) == ("abc", "prod")
    assert event["transaction"] == "/fail" and "request" not in event
    assert event["tags"] == {"role": "web", "method": "GET", "request_id": "one"}
    (error,) = event["exception"]["values"]
    assert (error["type"], error["mechanism"]["handled"]) == ("RuntimeError", False)
    last = error["stacktrace"]["frames"][-1]
    assert last["function"] == "fail" and "vars" not in last


def test_a_trace_goes_from_a_request_to_its_job_and_an_error_of_that_is_told(site, there, tmp_path):
    with reported.worker(tmp_path, **reported.variables(there)):
        assert site.get("/order/bad", **FORM)[0] == 200
        request = got(there, ORDER)
        sent, run = got(there, "apply_async/small_jobs.bad"), got(there, "run/small_jobs.bad")
        (event,) = until(lambda: reported.events(there), pause=0.3)
    assert request["traceId"] == sent["traceId"] == run["traceId"]
    parents = [sent["parentSpanId"], run["parentSpanId"]]
    assert parents == [request["spanId"], sent["spanId"]] and "parentSpanId" not in request
    for span, role in ((request, "web"), (run, "worker")):
        known = span["resource"]
        assert (known["service.namespace"], known["service.name"]) == ("shop", role)
        assert (known["service.version"], known["deployment.environment.name"]) == ("abc", "prod")
    assert run["status"] == {"code": "STATUS_CODE_ERROR"}
    assert (event["transaction"], event["tags"]["role"]) == ("small_jobs.bad", "worker")


def test_a_share_of_the_requests_is_traced_and_no_client_can_choose_which(there, tmp_path):
    with reporting(there, tmp_path, TRACES="0.2") as site:
        chosen = f"00-{'0' * 31}1-{'0' * 15}1-01"
        for _ in range(400):
            site.get("/slow/0", traceparent=chosen)
        # What is on its way.
        time.sleep(1)
    found = reported.spans(there, "GET slow/<int:seconds>")
    # Five times the standard deviation of 400 requests is 40.
    assert 40 <= len(found) <= 120
    assert len({each["traceId"] for each in found}) == len(found)


@pytest.mark.parametrize("how", ["down", "late", "500", "elsewhere"])
def test_whatever_the_receiver_does_no_request_waits_for_it_or_fails(there, tmp_path, how):
    there.delay = 60 if how == "late" else 0
    there.statuses = {"500": [500] * 9999, "elsewhere": [307] * 9999}.get(how, [])
    closed = f"http://127.0.0.1:{free_port()}"
    away = {"SENTRY_DSN": closed.replace("//", "//public@") + "/7"}
    away |= {"OTEL_EXPORTER_OTLP_ENDPOINT": closed}
    with reporting(there, tmp_path, **(away if how == "down" else {})) as site:
        taken = []
        for number in range(100):
            began = time.monotonic()
            # So many that what waits to be sent is dropped.
            status, _ = site.get(["/fail", "/"][number % 2])
            taken.append(time.monotonic() - began)
            assert status == [500, 200][number % 2]
        assert statistics.median(taken) < SOON
        server = output(["pgrep", "-of", "-P", str(site.process.pid), "bin/uwsgi"])
        os.kill(int(server), signal.SIGTERM)
        assert rest(site.process) < END
    # Once for each process: it is no news.
    lines = [each for each in (tmp_path / "log").read_text().splitlines() if "batch" in each]
    assert len(lines) <= PROCESSES and bool(lines) == (how != "elsewhere")
    assert how == "down" or there.got


def test_no_job_waits_for_a_receiver_that_is_late_and_a_worker_not_for_long(there, tmp_path):
    env = reported.variables(there)
    there.delay = 60
    with (
        served(tmp_path, metrics=False, settings="small_jobs", **env) as site,
        reported.worker(tmp_path, **env) as worker,
    ):
        for _ in range(3):
            assert site.get("/order/bad", **FORM)[0] == 200
        log = tmp_path / "worker.log"
        until(lambda: log.read_text().count("raised unexpected") == 3, END)
        worker.send_signal(signal.SIGTERM)
        assert rest(worker) < END


def rest(process: subprocess.Popen[bytes]) -> float:
    """Return how many seconds a process still runs."""
    began = time.monotonic()
    process.wait()
    return time.monotonic() - began


ASGI = """
import asyncio
from django.core.asgi import get_asgi_application
app = get_asgi_application()
scope = {
    "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http",
    "method": "GET", "path": "/fail", "raw_path": b"/fail", "query_string": b"a=canary",
    "headers": [(b"host", b"localhost"), (b"cookie", b"a=canary")],
    "client": ("192.0.2.7", 1), "server": ("127.0.0.1", 8000),
}
body = [{"type": "http.request", "body": b""}]
async def receive():
    return body.pop() if body else await asyncio.Event().wait()
async def send(_):
    pass
asyncio.run(app(scope, receive, send))
"""


def test_asgi_reports_the_same(there, tmp_path):
    env = environment(tmp_path, "appmetrics.settings", **reported.variables(there))
    env |= {"METRICS_SETTINGS": "small_jobs"}
    output(["python", "-c", ASGI], **env)
    (event,) = reported.events(there)
    assert (event["transaction"], event["tags"]["method"]) == ("/fail", "GET")
    (span,) = reported.spans(there, "GET fail")
    assert span["attributes"]["http.response.status_code"] == "500"
    assert not [each for each in ("canary", "192.0.2.7") if each in str([event, span])]


LOADED = """
import django, sys
django.setup()
print(*sorted({*sys.argv[1].split()} & {*sys.modules}))
"""
OURS, LIBRARIES = "appmetrics.errors appmetrics.slots appmetrics.traces", "sentry_sdk opentelemetry"


@pytest.mark.parametrize(
    ("setting", "watched", "loaded"),
    [
        ("ERRORS", f"{OURS} opentelemetry", "appmetrics.errors"),
        ("TRACES", f"{OURS} sentry_sdk", "appmetrics.traces"),
        ("", f"{OURS} {LIBRARIES} prometheus_client", ""),
    ],
)
def test_each_setting_alone_imports_what_it_needs(there, tmp_path, setting, watched, loaded):
    known = reported.variables(there)
    env = {key: known[key] for key in known if key not in {"ERRORS", "TRACES"} - {setting}}
    script = '. "$0/docker/metrics/start.sh"; python -c "$1" "$2"'
    words = ["sh", "-euc", script, str(ROOT), LOADED, watched]
    assert output(words, **environment(tmp_path, **env)) == loaded


@pytest.mark.parametrize(
    ("name", "setting"),
    [("SENTRY_DSN", "monitoring.errors"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "monitoring.traces")],
)
@pytest.mark.parametrize("value", ["", "a-secret-that-is-no-address"])
def test_without_an_address_it_does_not_start_and_says_why(there, tmp_path, name, setting, value):
    env = reported.variables(there, **{name: value})
    script = '. "$0/docker/metrics/start.sh"; python -c "import django; django.setup()"'
    words = ["sh", "-euc", script, str(ROOT)]
    env = environment(tmp_path, **env)
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{setting}: ") and name in line and "a-secret" not in line
