"""Real receivers: what they get, and what is said when they do not answer as they should."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tasks.lib.messages import receivers
from tasks.lib.messages.gitlab import GitLab
from tasks.lib.messages.message import BEGUN, DONE, PROBLEM, UNDONE
from tasks.lib.messages.receivers import Mailbox, Slack, UndeliveredError, Webhook
from tasks.lib.messages.sentry import Sentry
from tasks.lib.project.messages import Mail, Messages
from tests.testbed.receivers import Receiver, mail_server, receiver
from tests.unit.messages.test_message import ONE

KEY = base64.b64encode(b"of this test").decode()


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.mark.parametrize("key", [KEY, f"whsec_{KEY}"])
def test_a_webhook_gets_a_document_that_is_signed(there, key):
    Webhook(f"{there.url}/hook", key).send(ONE)
    (request,) = there.got
    assert request.json == ONE.document()
    name, moment = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    content = f"{name}.{moment}.".encode() + request.body
    digest = base64.b64encode(hmac.digest(b"of this test", content, hashlib.sha256)).decode()
    assert request.headers["webhook-signature"] == f"v1,{digest}"
    assert abs(int(moment) - time.time()) < 60


def test_the_same_message_has_the_same_id_each_time(there):
    webhook = Webhook(there.url, KEY)
    webhook.send(ONE)
    webhook.send(ONE)
    webhook.send(replace(ONE, release=13))
    first, second, other = (request.headers["webhook-id"] for request in there.got)
    assert first == second != other


def test_without_a_key_nothing_is_signed(there):
    Webhook(there.url, "").send(ONE)
    assert "webhook-signature" not in there.got[0].headers


def test_a_key_that_is_no_base64_is_named(there):
    with pytest.raises(UndeliveredError, match="MESSAGES_KEY is not base64") as caught:
        Webhook(there.url, "of this test!").send(ONE)
    assert not caught.value.again
    assert there.got == []


def test_a_chat_gets_the_text_with_its_signs_escaped(there):
    Slack(there.url).send(replace(ONE, event=PROBLEM, why="<!channel> a & b"))
    assert there.got[0].json == {"text": "prod: &lt;!channel&gt; a &amp; b"}


@pytest.mark.parametrize(
    ("status", "again"), [(400, False), (404, False), (429, True), (500, True), (503, True)]
)
def test_a_status_says_whether_to_try_again(there, status, again):
    there.statuses = [status]
    with pytest.raises(UndeliveredError, match=f"HTTP status {status}") as caught:
        Slack(there.url).send(ONE)
    assert caught.value.again == again


def test_a_redirect_is_not_followed(there):
    there.statuses = [307]
    with pytest.raises(UndeliveredError, match="HTTP status 307"):
        Webhook(there.url, KEY).send(ONE)
    assert [request.path for request in there.got] == ["/"]


def test_one_that_is_down_may_come_back():
    with receiver() as gone:
        url = f"{gone.url}/services/T0/B0/a-secret-path"
    with pytest.raises(UndeliveredError, match="Connection refused") as caught:
        Slack(url).send(ONE)
    assert caught.value.again
    assert "a-secret-path" not in str(caught.value)


def test_one_that_is_slow_is_not_waited_for(there):
    there.delay = 20
    began = time.monotonic()
    with pytest.raises(UndeliveredError, match="timed out"):
        Slack(there.url).send(ONE)
    assert time.monotonic() - began < 15


def test_mail_has_the_text_and_the_address():
    with mail_server() as (server, letters):
        Mailbox(Mail(["ops@example.com", "ann@example.com"], "inv@example.com", server), "").send(
            replace(ONE, event=UNDONE, why="it exits")
        )
    (letter,) = letters.got
    assert letter.rcpt_tos == ["ops@example.com", "ann@example.com"]
    text = letter.content.decode()  # type: ignore[union-attr]
    assert "Subject: [prod] deploy undone" in text
    assert "failed and was undone: it exits" in text


@pytest.mark.parametrize(("answer", "again"), [("451 later", True), ("550 no", False)])
def test_mail_that_is_refused_says_why(answer, again):
    with mail_server() as (server, letters):
        letters.answers = [answer]
        with pytest.raises(UndeliveredError, match=f"SMTP status {answer[:3]}") as caught:
            Mailbox(Mail(["ops@example.com"], "inv@example.com", server), "").send(ONE)
    assert caught.value.again == again


def test_a_password_is_never_sent_without_encryption():
    with mail_server() as (server, letters):
        server = server.replace("//", "//ann@")
        with pytest.raises(UndeliveredError, match="STARTTLS"):
            Mailbox(Mail(["ops@example.com"], "inv@example.com", server), "a password").send(ONE)
    assert letters.got == []


def test_gitlab_gets_a_deployment_that_ends_as_the_deploy_did(there):
    there.answer = '{"id": 42}'
    gitlab = GitLab(f"{there.url}/api/v4/projects/7", "a token", "main")
    gitlab.send(ONE)
    gitlab.send(replace(ONE, event=UNDONE))
    begun, ended = there.got
    assert (begun.method, begun.path) == ("POST", "/api/v4/projects/7/deployments")
    assert begun.headers["PRIVATE-TOKEN"] == "a token"
    wanted = {"environment": "prod", "sha": "0123456789", "ref": "main", "tag": False}
    assert begun.json == {**wanted, "status": "running"}
    assert (ended.method, ended.path) == ("PUT", "/api/v4/projects/7/deployments/42")
    assert ended.json == {"status": "failed"}


def test_gitlab_that_missed_the_beginning_gets_the_end(there):
    there.answer = '{"id": 42}'
    GitLab(there.url, "a token", "main").send(replace(ONE, event=DONE))
    assert [request.json["status"] for request in there.got] == ["success"]


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"id": null}'])
def test_an_answer_that_is_no_deployment_is_said(there, answer):
    there.answer = answer
    with pytest.raises(UndeliveredError, match="no deployment"):
        GitLab(there.url, "a token", "main").send(ONE)


def test_gitlab_without_a_token_is_not_asked(there):
    with pytest.raises(UndeliveredError, match="GITLAB_TOKEN is not set"):
        GitLab(there.url, "", "main").send(ONE)
    assert there.got == []


def test_sentry_gets_the_deploy_of_a_release_once_it_is_done(there):
    sentry = Sentry(f"{there.url}/api/0/projects/acme/shop/", "a token")
    for event in (BEGUN, UNDONE, PROBLEM):
        sentry.send(replace(ONE, event=event))
    assert there.got == []
    # The release is known already.
    there.statuses = [208, 201]
    sentry.send(replace(ONE, event=DONE, environment="review/one"))
    release, deploy = there.got
    assert {each.headers["Authorization"] for each in there.got} == {"Bearer a token"}
    assert (release.method, release.path) == ("POST", "/api/0/organizations/acme/releases/")
    assert release.json == {"version": "0123456789", "projects": ["shop"]}
    path = "/api/0/organizations/acme/releases/0123456789/deploys/"
    assert (deploy.method, deploy.path) == ("POST", path)
    assert deploy.json == {
        "environment": "review-one",
        "name": f"deploy of release {ONE.release}",
        "url": ONE.url,
        "projects": ["shop"],
        "dateFinished": ONE.at,
    }


@pytest.mark.parametrize("statuses", [[401], [201, 500], [307]])
def test_sentry_that_does_not_take_it_is_said_without_the_token(there, statuses):
    there.statuses = statuses
    with pytest.raises(UndeliveredError, match=f"HTTP status {statuses[-1]}") as caught:
        Sentry(f"{there.url}/api/0/projects/acme/shop", "a token").send(replace(ONE, event=DONE))
    assert "a token" not in str(caught.value)


def test_sentry_without_a_token_is_not_asked(there):
    with pytest.raises(UndeliveredError, match="SENTRY_AUTH_TOKEN is not set"):
        Sentry(f"{there.url}/api/0/projects/acme/shop", "").send(replace(ONE, event=DONE))
    assert there.got == []


def test_of_the_settings_come_the_receivers():
    mail = Mail(["ops@example.com"], "inv@example.com", "smtp://mail.example.com")
    found = receivers.named(Messages("http://a", "http://b", "", mail), {})
    assert [each.name for each in found] == ["the webhook", "the chat", "the mail"]
    assert receivers.named(Messages(), {}) == []
