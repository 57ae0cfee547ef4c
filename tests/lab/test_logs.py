"""The logs of servers: of a service, a time, a request and its job, a pattern, a release."""

from __future__ import annotations

import json
import re
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.testbed.commands import until
from tests.testbed.sites import Site

from .trouble import another, state, stopped

pytestmark = [pytest.mark.engine, pytest.mark.slow]
# A link; no click was counted that waits for a job.
CLICKABLE = (
    "from myapp import clicks; from myapp.models import Link;"
    " Link.objects.get_or_create(code='clicked', target='https://example.com/'); clicks.flush()"
)


def logged(site: Site, *options: str) -> list[tuple[str, str]]:
    """The lines that `inv logs` shows: which replica wrote each, and its text."""
    lines = [line for line in site.must("logs", *options).text.splitlines() if " | " in line]
    parts = [line.partition(" | ") for line in lines]
    return [(re.sub(f"^{site.stack}[_-]", "", who).strip(), text) for who, _, text in parts]


def chosen(site: Site, *options: str) -> list[tuple[str, dict[str, Any]]]:
    """The same of lines of JSON, which have to be no other, by the service that wrote each."""
    return [(service_of(who), json.loads(text)) for who, text in logged(site, *options)]


def service_of(replica: str) -> str:
    """The service of a replica, such as app.1.a7f on a Swarm, and app-3-1 on one Docker host."""
    return re.split(r"[.-]", replica)[0]


def asked(site: Site, path: str) -> str:
    """Ask for a page; return the ID of the request, which may be answered with another address."""
    where = urlsplit(site.url)
    connection = HTTPConnection(str(where.hostname), where.port, timeout=20)
    connection.request("GET", path)
    return str(connection.getresponse().headers["X-Request-ID"])


@pytest.mark.either
def test_logs_are_those_of_the_service_and_of_the_time_that_are_asked_for(site):
    site.get("/")
    replicas = {who for who, _ in logged(site, "--service=app")}
    assert len(replicas) >= 2 and {*map(service_of, replicas)} == {"app"}
    assert {service_of(who) for who, _ in logged(site, "--service=db")} == {"db"}
    assert site.must("logs", "--service=db", "--since=1s").text == "no such line\n"
    unknown = site.inv("logs", "--service=web")
    assert unknown.status == 2
    assert "has no service 'web' - known: app, beat, db, proxy" in unknown.verdict


@pytest.mark.either
def test_one_request_is_found_in_the_logs_of_the_proxy_and_the_app(site):
    request = f"--request={asked(site, '/no/where?token=canary')}"
    until(lambda: {service for service, _ in chosen(site, request)} == {"proxy", "app"})
    assert "canary" not in str(chosen(site, request))


@pytest.mark.either
def test_the_job_of_a_request_is_found_with_it_in_the_log_of_the_worker(site):
    site.must("manage", f'shell -c "{CLICKABLE}"')
    request = f"--request={asked(site, '/clicked')}"
    until(lambda: "worker" in {service for service, _ in chosen(site, request)}, 60, 1)
    found = chosen(site, request)
    assert {service for service, _ in found} == {"proxy", "app", "worker"}
    (job,) = (line for _, line in found if line.get("logger") == "myapp.tasks")
    assert (job["role"], job["version"], job["level"]) == ("worker", site.good, "INFO")
    assert job["message"].startswith("Clicks of ") and job["timestamp"]


@pytest.mark.either
def test_logs_are_those_of_a_pattern_and_of_a_release(site):
    asked(site, "/no/where")
    pattern = "--grep=GET /no/w.*re 404"
    found = until(lambda: chosen(site, pattern))
    facts = {(service, line["path"], line["status"]) for service, line in found}
    assert facts == {("app", "/no/where", 404)}
    new = another(site)
    site.must("deploy", f"--ref={new}")
    release = f"--release={site.history()[0]['number']}"
    assert chosen(site, release, "--grep=GET /nothing") == []
    asked(site, "/no/where")
    (line,) = until(lambda: chosen(site, release, pattern))
    assert (line[0], line[1]["version"]) == ("app", new)
    # Those of the worker and of beat have it, too.
    found = chosen(site, release)
    assert {line["version"] for _, line in found} == {new}
    assert {(service, line["role"]) for service, line in found} == {
        ("app", "web"), ("worker", "worker"), ("beat", "beat")
    }  # fmt: skip
    assert new not in {line["version"] for _, line in chosen(site, f"--release={site.good}")}


def _replicas(site: Site) -> set[str]:
    """Those of the app of which a line is shown."""
    return {who for who, _ in logged(site, "--service=app", "--tail=20")}


@pytest.mark.fault("inv logs, while a server is away")
def test_the_logs_of_the_servers_that_are_there_are_shown(site, fault):
    tasks = f"docker service ps -f desired-state=running --format '{{{{.Node}}}}' {site.stack}_app"
    gone = max(site.on("node1", tasks).split())
    assert gone != "node1"
    with stopped(site, gone):
        until(lambda: state(site, gone) == "down", 60)
        until(lambda: gone not in site.on("node1", tasks).split(), 60)
        until(lambda: len(_replicas(site)) > 1, 60, 1)
        done = site.inv("logs", "--service=app", "--tail=20")
        fault(done, status=0, serves=site.good)
        assert f"warning: lines are missing, of servers that are away: {gone}" in done.text
        unwell = site.inv("status")
        assert unwell.status == 1
        assert f"node {gone}: down" in unwell.verdict
    until(lambda: site.inv("status").status == 0, 90)
