"""What a message says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.lib.messages.message import BEGUN, DONE, FAILED, PROBLEM, UNDONE, Message
from tasks.lib.redaction import know

ONE = Message(
    BEGUN, "deploy", "prod", "https://links.example.com", 12, "app@sha256:ab", "0123456789", "ann"
)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (BEGUN, "prod: deploy of release 12 (01234567) by ann begins"),
        (DONE, "prod: release 12 (01234567) runs, deploy by ann, 9 s: https://links.example.com"),
        (UNDONE, "prod: deploy of release 12 (01234567) by ann failed and was undone: it exits"),
        (FAILED, "prod: deploy of release 12 (01234567) by ann failed: it exits"),
        (PROBLEM, "prod: it exits"),
    ],
)
def test_each_event_has_its_words(event, text):
    assert replace(ONE, event=event, why="it\nexits", seconds=9).text() == text


def test_it_has_a_type_and_a_time_for_machines():
    document = replace(ONE, at="2026-01-31T12:00:00Z").document()
    assert document["type"] == "deploy.begun"
    assert document["timestamp"] == "2026-01-31T12:00:00Z"
    assert document["data"]["release"] == 12
    assert document["data"]["text"] == ONE.text()


def test_no_secret_is_in_it():
    know("API_KEY", "correct horse battery")
    message = replace(ONE, event=FAILED, why="no login with correct horse battery")
    assert "battery" not in message.text() + str(message.document())
    assert "[API_KEY]" in message.document()["data"]["why"]
