"""What clients send and what is secret is in no log, in no event of Sentry, and in no trace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed import reported
from tests.testbed.commands import ROOT, output, until
from tests.testbed.measured import environment, served
from tests.testbed.receivers import Receiver, receiver

# Each way by which something private comes in has one of these, so that the failure says which.
CANARY = "canary-of-{}-0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
REQUEST = "d825ef922b854f47949f9ff9b365909f"
SENT = {
    "Cookie": f"sessionid={CANARY.format('cookie')}; other={CANARY.format('cookie')}",
    "Authorization": f"Bearer {CANARY.format('login')}",
    "X-Api-Token": CANARY.format("header"),
    "User-Agent": CANARY.format("agent"),
    "Referer": f"http://localhost/?token={CANARY.format('referer')}",
    "baggage": f"who={CANARY.format('baggage')}",
    "tracestate": f"who={CANARY.format('state')}",
    "X-Forwarded-For": CANARY.format("client"),
    "X-Request-ID": REQUEST,
}
QUERY = f"token={CANARY.format('query')}"
FORM = "&".join(
    f"{name}={CANARY.format(name)}" for name in ("card", "username", "password", "target")
)
SECRETS = (
    "SECRET_KEY",
    "DATABASE_PASSWORD",
    "REDIS_PASSWORD",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTHER",
)


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def secrets(tmp_path) -> dict[str, str]:
    """The secrets, as files; and the variable that says where they are."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name in SECRETS:
        (folder / name).write_text(CANARY.format(name))
    headers = f"Authorization=Bearer {CANARY.format('OTEL_EXPORTER_OTLP_HEADERS')}"
    (folder / "OTEL_EXPORTER_OTLP_HEADERS").write_text(headers)
    return {"SECRETS_DIR": str(folder)}


def found(there: Receiver, folder: Path) -> str:
    """Return all that went out or was logged, as one text."""
    logs = [file.read_text() for file in folder.glob("*log")]
    return "\n".join([*logs, json.dumps(reported.decoded([*there.got]))])


def canaries(text: str) -> set[str]:
    return {part.split("-0123")[0] for part in text.split("canary-of-")[1:]}


def test_of_a_project_with_jobs(there, secrets, tmp_path):
    env = reported.variables(there, **secrets)
    with (
        served(tmp_path, metrics=False, settings="small_jobs", **env) as site,
        reported.worker(tmp_path, **env),
    ):
        for path, status in (("fail", 500), ("odd", 400), ("order/good", 200), ("order/bad", 200)):
            assert site.get(f"/{path}?{QUERY}", "POST", FORM, **SENT)[0] == status
        site.get(f"/nowhere?{QUERY}", **SENT)
        until(lambda: len(reported.events(there)) == 2, pause=0.5)
        names = {"POST fail", "POST odd", "run/small_jobs.good", "run/small_jobs.bad"}
        until(lambda: names <= {each["name"] for each in reported.spans(there)}, pause=0.5)
    text = found(there, tmp_path)
    assert "a job, on purpose" in text and REQUEST in text
    assert canaries(text) == set()
    # What the receiver itself is to have.
    traces = next(each for each in there.got if each.path == "/v1/traces")
    assert traces.headers["authorization"].endswith(CANARY.format("OTEL_EXPORTER_OTLP_HEADERS"))


def test_a_secret_in_what_the_app_says_does_not_leave_with_an_event(there, secrets, tmp_path):
    env = reported.variables(there, **secrets, CANARY_SECRET=CANARY.format("OTHER"))
    with served(tmp_path, metrics=False, settings="small_jobs", **env) as site:
        assert site.get(f"/tell?{QUERY}", **SENT)[0] == 200
        (event,) = until(lambda: reported.events(there), pause=0.5)
    assert event["logentry"]["formatted"] == "cannot log in with [Filtered]"
    assert canaries(json.dumps(event)) == set()


def test_a_value_that_a_database_refuses_does_not_leave_with_the_error(there, secrets, tmp_path):
    env = reported.variables(there, **secrets)
    with served(tmp_path, metrics=False, settings="small_jobs", **env) as site:
        assert site.get("/twice", "POST", FORM)[0] == 500
        (event,) = until(lambda: reported.events(there), pause=0.5)
        until(lambda: reported.spans(there, "POST twice"), pause=0.5)
    (error,) = event["exception"]["values"]
    assert error["value"].startswith("duplicate key value violates unique constraint")
    assert canaries(json.dumps(reported.decoded([*there.got]))) == set()


def test_of_this_app_without_its_database_and_its_redis(there, secrets, tmp_path):
    more = {
        "DATABASE_URL": f"sqlite:///{tmp_path}/empty.sqlite3",
        "REDIS_URL": "redis://default@127.0.0.1:1/0",
        "SITE_URL": "http://127.0.0.1",
        "APP_CELERY": "myapp",
        "STATIC_ROOT": str(tmp_path / "static"),
    }
    env = reported.variables(there, **secrets, **more)
    collect = ["python", str(ROOT / "manage.py"), "collectstatic", "--noinput", "--verbosity=0"]
    output(collect, **environment(tmp_path, "myapp.settings.prod", **env))
    with served(tmp_path, metrics=False, settings="myapp.settings.prod", **env) as site:
        asked = (
            (f"/?{QUERY}", "POST", FORM),
            (f"/?{QUERY}", "GET", ""),
            (f"/abc?{QUERY}", "GET", ""),
            (f"/no/where?{QUERY}", "GET", ""),
            (f"/admin/login/?next=/admin/%3F{QUERY}", "POST", FORM),
            (f"/admin/?{QUERY}", "GET", ""),
        )
        host = {"Host": "127.0.0.1"}
        statuses = [site.get(*each, **SENT, **host)[0] for each in asked]
        # And a host that is none of the app's.
        statuses.append(site.get(f"/?{QUERY}", Host="evil.example", **SENT)[0])
        until(lambda: reported.events(there) and reported.spans(there), pause=0.5)
    text = found(there, tmp_path)
    assert statuses == [403, 500, 500, 404, 403, 500, 400]
    assert '"path": "/no/where"' in text and '"role": "web"' in text
    assert canaries(text) == set()
