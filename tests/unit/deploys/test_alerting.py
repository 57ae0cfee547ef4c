"""Where alerts go, with a real Alertmanager and real receivers; and who may change that."""

from __future__ import annotations

import email
import json
import re
import ssl
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from email.policy import default
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiosmtpd.smtp import AuthResult

from tasks.lib.deploys import alert_secrets, alerting, monitoring, shared_servers
from tasks.lib.deploys.alerting import Way
from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.orchestrators.compose.rendering import generation
from tasks.lib.orchestrators.compose.rendering import render as for_compose
from tasks.lib.orchestrators.stack import Stack
from tasks.lib.orchestrators.swarm.rendering import render as for_swarm
from tasks.lib.project.messages import Mail, Messages
from tests.orchestrators.memory import MemoryOrchestrator
from tests.testbed import alertmanager, certificates, prometheus
from tests.testbed.alertmanager import BASE, Alertmanager
from tests.testbed.commands import free_port, until
from tests.testbed.receivers import chat, mail_server, receiver, titles

CHAT, WEBHOOK = "https://chat.example/services/t0ken-of-the-chat", "https://on.call/t0ken-of-it"
PASSWORD = "pa55word-of-mail"
MAIL = Mail(
    ["ops@example.com", "ann@example.com"], "inv@example.com", "smtp://ann%40x@mail.example"
)
# What follows from an alert of the same environment.
FOLLOWING = ("BrokerDown", "ErrorRate", "ProxyErrors")
Sending = Callable[..., AbstractContextManager[Alertmanager]]


def settings(world, chat="", mail=None, webhook=""):
    """The project's settings with receivers."""
    known = world.target.settings
    given = msgspec.structs.replace(known.monitoring, webhook=webhook)
    return msgspec.structs.replace(known, messages=Messages("", chat, "", mail), monitoring=given)


def ways(world, chat="", mail=None, webhook="", password="") -> list[Way]:
    return alerting.ways(settings(world, chat, mail, webhook), {"SMTP_PASSWORD": password})


@pytest.fixture
def sending(tmp_path: Path) -> Sending:
    """Runs an Alertmanager with some ways."""
    program = alertmanager.program()
    if not program:
        pytest.skip("no program prometheus-alertmanager: install Debian's package of that name")

    def start(given: list[Way], **env: str) -> AbstractContextManager[Alertmanager]:
        return alertmanager.sending(tmp_path, given, [program], env)

    return start


def texts(letters) -> list[tuple[str, str]]:
    """Subject and text of what a mail server got."""
    found = [email.message_from_bytes(each.content, policy=default) for each in letters.got]
    return [(str(each["Subject"]), each.get_body().get_content()) for each in found]


def test_an_alert_reaches_chat_and_mail_when_it_fires_and_when_it_is_over(world, sending):
    with chat() as there, mail_server() as (server, letters):
        mail = msgspec.structs.replace(MAIL, server=server)
        with sending(ways(world, f"{there.url}/services/T0", mail)) as one:
            one.post("SiteDown", severity="critical")
            until(lambda: there.got and letters.got)
            one.post("SiteDown", over=True, severity="critical")
            until(lambda: len(there.got) == len(letters.got) == 2)
            one.post("NodeGone", environment="")
            until(lambda: len(there.got) == len(letters.got) == 3)
    wanted = ["[prod] critical: SiteDown", "[prod] cleared: SiteDown"]
    wanted.append("[servers of myapp] warning: NodeGone")
    assert titles(there) == [subject for subject, _ in texts(letters)] == wanted
    assert [request.path for request in there.got] == ["/services/T0"] * 3
    assert letters.got[0].rcpt_tos == ["ops@example.com", "ann@example.com"]
    fired, over = (request.json["attachments"][0] for request in there.got[:2])
    assert (fired["color"], over["color"]) == ("danger", "good")
    said = "SiteDown is &lt;wrong&gt; &amp; bad\nfirst: ./inv status of SiteDown\n"
    assert fired["text"].startswith(f"{said}see docs/oncall.md#sitedown; since 20")
    assert over["text"].strip() == "was: SiteDown is &lt;wrong&gt; &amp; bad"
    text = texts(letters)[0][1].replace("\r\n", "\n")
    assert text.startswith("SiteDown is <wrong> & bad\nfirst: ./inv status of SiteDown\n")


def test_a_site_that_is_down_is_one_alert_not_ten(world, sending):
    with chat() as there, sending(ways(world, there.url)) as one:
        one.post("SiteDown", severity="critical")
        until(lambda: titles(there))
        one.post("SlowRequests")
        one.post("SlowRequests", environment="staging")
        one.post("DatabaseDown", severity="critical")
        until(lambda: len(titles(there)) == 3)
        one.post("SiteDown", over=True, severity="critical")
        until(lambda: len(titles(there)) == 5)
    first, *others = titles(there)
    assert first == "[prod] critical: SiteDown"
    assert {*others[:2]} == {"[staging] warning: SlowRequests", "[prod] critical: DatabaseDown"}
    assert {*others[2:]} == {"[prod] cleared: SiteDown", "[prod] warning: SlowRequests"}


def test_what_follows_from_a_cause_is_no_alert_of_its_own(world, sending):
    causes = {"NoWorker": "", "BeatSilent": "", "ServiceGone": "proxy"}
    causes |= {"DatabaseDown": "", "RedisDown": ""}
    follow = [("ServiceGone", "worker"), ("ReplicaDown", "beat"), ("ReplicaDown", "proxy")]
    with chat() as there, sending(ways(world, there.url)) as one:
        for cause, service in causes.items():
            one.post(cause, service=service)
        until(lambda: len(titles(there)) == len(causes))
        for alert, service in [*follow, *((name, "") for name in FOLLOWING)]:
            one.post(alert, service=service)
        one.post("ServiceGone", service="app")
        one.post("ReplicaDown", service="worker", environment="staging")
        until(lambda: len(titles(there)) == len(causes) + 2)
        one.post("Last")
        until(lambda: "[prod] warning: Last" in titles(there))
    others = {"[prod] warning: ServiceGone", "[staging] warning: ReplicaDown"}
    assert {*titles(there)[len(causes) : -1]} == others


def test_that_alerts_do_not_arrive_is_an_alert_which_ends(world, sending, tmp_path):
    prometheus.required()
    (folder := tmp_path / "prometheus").mkdir()
    rules = prometheus.quick((prometheus.FOLDER / "rules.yml").read_text(), 1)
    (folder / "rules.yml").write_text(rules)
    with chat() as there, sending(ways(world, there.url)) as one:
        asked = [{"targets": [one.url.rpartition("/")[2]]}]
        settings = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(folder / "rules.yml")],
            "alerting": {"alertmanagers": [{"static_configs": asked}]},
            "scrape_configs": [{"job_name": "prometheus", "static_configs": asked}],
        }
        with prometheus.running(folder, settings) as watched:
            watched.ready()
            until(lambda: watched.ask("alertmanager_notifications_failed_total == 0"), 60)
            assert "AlertsNotSent" not in watched.firing()
            # The chat is no more: nothing is gained by trying it again.
            there.statuses = [404] * 1000
            one.post("SiteDown", severity="critical")
            until(lambda: "AlertsNotSent" in watched.firing(), 60)
            assert "docs/oncall.md#alertsnotsent" in watched.page()
            there.statuses = []
            until(lambda: "AlertsNotSent" not in watched.firing(), 60)
    assert "[servers of myapp] critical: AlertsNotSent" in titles(there)


@pytest.mark.engine
def test_why_alerts_do_not_arrive_is_logged_without_addresses(world, tmp_path):
    nowhere = f"http://127.0.0.1:{free_port()}/t0ken"
    with chat() as there:
        there.statuses = [404] * 100
        for way in ({"chat": nowhere}, {"webhook": nowhere}, {"chat": f"{there.url}/t0ken"}):
            given = ways(world, **way)
            with alertmanager.sending(tmp_path, given, alertmanager.image(tmp_path)) as one:
                one.post("SiteDown")
                found = until(
                    lambda one=one: re.search("level=(warn|error).*", one.log.read_text(), re.I)
                )
                assert re.search("refused|404", found[0])
                assert "t0ken" not in one.log.read_text()


def test_an_alert_is_raised_to_try_it(world, sending):
    with chat() as there, sending(ways(world, there.url)) as one:
        script = alerting.trial("prod", int(one.url.rpartition(":")[2]))
        subprocess.run(["sh", "-c", script], check=True, capture_output=True, timeout=30)
        until(lambda: there.got)
    assert titles(there) == ["[prod] critical: Test"]
    said = "inv monitor.try raised it to see that alerts arrive\nfirst: nothing, it is over after a"
    assert there.got[0].json["attachments"][0]["text"].startswith(said)


def test_without_an_alertmanager_none_is_raised(world):
    orchestrator = world.target.orchestrator
    world.target.orchestrator = orchestrator.inner.beside(shared_servers.stack_name(world.target))
    try:
        with pytest.raises(TaskError, match=r"no Alertmanager runs for prod - inv monitor\.up"):
            monitoring.try_alert(world.target)
    finally:
        world.target.orchestrator = orchestrator


def test_a_user_of_the_mail_server_without_a_password_is_a_warning(world, capfd):
    mail = msgspec.structs.replace(MAIL, server="smtp://ann@mail.example")
    ways(world, mail=mail)
    assert "mailed without a login: SMTP_PASSWORD is not set" in capfd.readouterr().err
    ways(world, mail=mail, password=PASSWORD)
    assert capfd.readouterr().err == ""


@pytest.mark.engine
def test_a_webhook_gets_the_alerts_in_alertmanagers_own_form(world, tmp_path):
    with receiver() as there:
        given = ways(world, webhook=f"{there.url}/t0ken")
        with alertmanager.sending(tmp_path, given, alertmanager.image(tmp_path)) as one:
            one.post("SiteDown")
            until(lambda: there.got)
            one.post("SiteDown", over=True)
            until(lambda: len(there.got) == 2)
    assert [request.path for request in there.got] == ["/t0ken"] * 2
    assert [request.json["status"] for request in there.got] == ["firing", "resolved"]
    assert there.got[0].json["version"] == "4"


def test_mail_is_sent_with_a_password_where_it_is_encrypted(world, sending, tmp_path):
    certificates.write(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    seen = []

    def login(*given: Any) -> AuthResult:
        seen.append((given[-1].login, given[-1].password))
        return AuthResult(success=True)

    # This one's LOGIN asks in other words than most.
    options = {"authenticator": login, "auth_required": True, "auth_exclude_mechanism": ["LOGIN"]}
    with mail_server(tls_context=context, **options) as (server, letters):
        mail = msgspec.structs.replace(MAIL, server=server.replace("//", "//ann%40x@"))
        given = ways(world, mail=mail, password=PASSWORD)
        with sending(given, SSL_CERT_FILE=str(tmp_path / "ca.pem")) as one:
            one.post("SiteDown")
            until(lambda: letters.got)
    assert seen == [(b"ann@x", PASSWORD.encode())]


def test_a_password_is_never_sent_without_encryption(world, sending):
    with mail_server(auth_require_tls=False) as (server, letters):
        mail = msgspec.structs.replace(MAIL, server=server.replace("//", "//ann@"))
        with sending(ways(world, mail=mail, password=PASSWORD)) as one:
            one.post("SiteDown")
            until(lambda: "STARTTLS" in one.log.read_text())
    assert letters.got == []


@pytest.mark.engine
def test_alertmanager_takes_it_and_it_has_no_secret(world, tmp_path):
    given = ways(world, CHAT, MAIL, WEBHOOK, PASSWORD)
    file = tmp_path / "alertmanager.yml"
    file.write_text(json.dumps(alerting.notifying(BASE, given)))
    check = alertmanager.image(tmp_path, "--entrypoint=amtool")
    done = subprocess.run([*check, "check-config", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not secrets_in(file.read_text())


def secrets_in(text: str) -> list[str]:
    return [each for each in (CHAT, "t0ken", WEBHOOK, PASSWORD) if each in text]


@pytest.mark.parametrize(
    ("server", "password", "smarthost", "tls", "login"),
    [
        ("smtp://mail.example", "", "mail.example:587", False, None),
        ("smtp://ann@mail.example:25", PASSWORD, "mail.example:25", True, "ann"),
        ("smtp://mail.example:25", PASSWORD, "mail.example:25", False, None),
        ("smtps://ann@mail.example", PASSWORD, "mail.example:465", False, "ann"),
    ],
)
def test_a_mail_server_is_asked_as_messages_ask_it(world, server, password, smarthost, tls, login):
    mail = msgspec.structs.replace(MAIL, server=server)
    (way,) = ways(world, mail=mail, password=password)
    made = way.config
    assert (made["smarthost"], made["require_tls"]) == (smarthost, tls)
    assert made.get("auth_username") == login
    assert ("auth_password_file" in made) == (way.value != "") == (login is not None)


def test_a_mail_server_that_alertmanager_cannot_ask_is_told(world, capfd):
    assert ways(world, mail=msgspec.structs.replace(MAIL, server="smtps://m.example:999")) == []
    hint = "name another messages.mail.server"
    assert f"smtps:// at port 465 alone, not 999 - {hint}" in capfd.readouterr().err


def test_where_alerts_go_is_said(world):
    one = msgspec.structs.replace(MAIL, to=["ops@example.com"])
    assert alerting.destinations(BASE, []) == ""
    assert alerting.destinations(BASE, ways(world, mail=one)) == "alerts go by mail to 1 address"
    said = "alerts go to the chat, by mail to 2 addresses and to the webhook"
    assert alerting.destinations(BASE, ways(world, CHAT, MAIL, WEBHOOK)) == said
    own = {**BASE, "receivers": [{"name": "page", "opsgenie_configs": [{}]}]}
    assert alerting.destinations(own, []) == "alerts go as compose/monitoring/alertmanager.yml says"
    made = alerting.notifying(own, ways(world, CHAT))["receivers"][0]
    assert {*made} == {"name", "opsgenie_configs", "slack_configs"}


@pytest.mark.parametrize("render", [for_swarm, for_compose])
def test_its_secrets_are_files_of_its_user_alone(world, render, tmp_path):
    given = ways(world, CHAT, MAIL, WEBHOOK, PASSWORD)
    stack = rendered(world, render, given, tmp_path)
    uses = stack.services["alertmanager"]["secrets"]
    assert stack.services["alertmanager"]["user"] == "65534:65534"
    assert {(each["uid"], each["gid"], each["mode"]) for each in uses} == {
        ("65534", "65534", 0o400)
    }
    named = {way.secret: f"myapp-monitoring_{way.secret}_v1" for way in given}
    assert stack.versions("secrets") == {*named.values()}
    assert {each["source"] for each in uses} == {*named}
    others = [name for name, each in stack.services.items() if each.get("secrets")]
    assert others == ["alertmanager"]
    labels = {f"alerts.{way.kind}": named[way.secret] for way in given}
    assert stack.services["alertmanager"]["deploy"]["labels"] == labels
    (config,) = (text for name, text in stack.configs.items() if "_alertmanager_" in name)
    assert "/run/secrets/CHAT_URL" in config
    assert not secrets_in(stack.text() + "".join(stack.configs.values()))
    if render is for_compose:
        (made,) = generation(stack, ["alertmanager"], "1")["services"].values()
        files = [each["volume"]["subpath"] for each in made["volumes"] if "volume" in each]
        assert files.count("65534.65534.400") == 3


class Rendering(MemoryOrchestrator):
    """Renders as a real orchestrator does."""

    def __init__(self, beside: MemoryOrchestrator, render: Any) -> None:
        super().__init__(beside.cluster, beside.stack)
        self._render = render

    def render(self, config: Any, image: str, secrets: Any) -> Stack:
        made: Stack = self._render(config, self.stack, image, secrets)
        return made


def rendered(world, render: Any, given: list[Way], folder: Path) -> Stack:
    """The stack of monitoring with ways that alerts take; it needs docker, and no engine."""
    beside = world.target.orchestrator.inner.beside(shared_servers.stack_name(world.target))
    target = replace(world.target, orchestrator=Rendering(beside, render))
    return monitoring.render(target, [], given, folder)


def set_up(world, given: list[Way]) -> dict[str, str]:
    """Let Alertmanager run with ways that alerts take; returns the versions of its secrets."""
    beside = world.target.orchestrator.inner.beside(shared_servers.stack_name(world.target))
    versions = alert_secrets.stored(beside, given)
    config = {"services": {"alertmanager": {"image": "a"}}, "configs": {}}
    stack = beside.render(alert_secrets.with_secrets(config, given, versions), "", versions)
    beside.put(stack, prune=True)
    return versions


def test_another_address_is_another_secret_and_the_same_is_none(world):
    first = set_up(world, ways(world, CHAT, MAIL, password=PASSWORD))
    assert first == {
        "CHAT_URL": "myapp-monitoring_CHAT_URL_v1",
        "MAIL_PASSWORD": "myapp-monitoring_MAIL_PASSWORD_v1",
    }
    assert set_up(world, ways(world, CHAT, MAIL, password=PASSWORD)) == first
    other = set_up(world, ways(world, f"{CHAT}-2", MAIL, password=PASSWORD))
    assert other == {**first, "CHAT_URL": "myapp-monitoring_CHAT_URL_v2"}
    # A run that was killed has stored one that never ran.
    beside = world.target.orchestrator.inner.beside(shared_servers.stack_name(world.target))
    beside.set_secret("CHAT_URL", "https://another.example")
    assert set_up(world, ways(world, f"{CHAT}-2", MAIL, password=PASSWORD)) == other


@pytest.mark.parametrize(
    ("now", "mine", "why"),
    [
        (
            {"chat": CHAT},
            {},
            r"alerts use the chat now, which this run does not know - set INVOKE_MESSAGES_SLACK or "
            r"messages\.slack; to drop it, inv monitor\.down --env=prod first",
        ),
        ({"chat": CHAT, "mail": MAIL}, {"chat": CHAT}, r"use mail now.*set messages\.mail;"),
        ({"mail": MAIL, "password": PASSWORD}, {"mail": MAIL}, "set SMTP_PASSWORD;"),
        ({"webhook": WEBHOOK}, {"chat": CHAT}, "set INVOKE_MONITORING_WEBHOOK or monitoring"),
        (
            {"chat": CHAT, "mail": MAIL, "password": PASSWORD},
            {"mail": MAIL},
            "use the chat and the password of the mail server now",
        ),
    ],
)
def test_who_does_not_know_where_alerts_go_cannot_end_it(world, now, mine, why):
    beside = world.target.orchestrator.inner.beside(shared_servers.stack_name(world.target))
    alert_secrets.require_known(beside, ways(world, **mine), "prod")
    set_up(world, ways(world, **now))
    alert_secrets.require_known(beside, ways(world, **now), "prod")
    with pytest.raises(TaskError, match=why) as caught:
        alert_secrets.require_known(beside, ways(world, **mine), "prod")
    assert caught.value.code == ExitCode.REFUSED


def test_what_is_added_is_no_reason_to_refuse(world):
    set_up(world, ways(world, CHAT))
    beside = world.target.orchestrator.inner.beside(shared_servers.stack_name(world.target))
    given = ways(world, "https://other.example", MAIL, password=PASSWORD)
    alert_secrets.require_known(beside, given, "prod")


def test_the_end_of_monitoring_is_that_of_the_secrets(world):
    set_up(world, ways(world, CHAT, MAIL, password=PASSWORD))
    orchestrator = world.target.orchestrator
    world.target.orchestrator = orchestrator.inner.beside(shared_servers.stack_name(world.target))
    try:
        monitoring.down(world.target, volumes=False)
        assert world.target.orchestrator.secrets() == {}
    finally:
        world.target.orchestrator = orchestrator
