"""Messages are retried, bounded, in order, and never in the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tasks.lib.messages.outbox import Outbox
from tasks.lib.messages.receivers import Slack
from tests.testbed.receivers import Receiver, receiver
from tests.unit.messages.test_message import ONE


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def test_a_message_is_sent_again_until_it_is_taken(there, capsys):
    there.statuses = [500, 503]
    outbox = Outbox([Slack(there.url)], pauses=(0.01, 0.01))
    outbox.put(ONE)
    outbox.close()
    assert len(there.got) == 3
    assert capsys.readouterr().err == ""


def test_one_that_never_takes_it_is_a_warning(there, capsys):
    there.statuses = [500] * 9
    outbox = Outbox([Slack(there.url)], pauses=(0.01, 0.01))
    outbox.put(ONE)
    outbox.put(replace(ONE, release=13))
    outbox.close()
    assert len(there.got) == 6
    assert capsys.readouterr().err == "warning: the chat did not get a message: HTTP status 500\n"


def test_what_cannot_succeed_is_not_sent_again(there):
    there.statuses = [404]
    outbox = Outbox([Slack(there.url)], pauses=(0.01, 0.01))
    outbox.put(ONE)
    outbox.close()
    assert len(there.got) == 1


def test_a_receiver_that_hangs_holds_up_neither_the_deploy_nor_the_others(there, capsys):
    with receiver() as other:
        there.delay = 3
        outbox = Outbox([Slack(there.url), Slack(other.url)])
        began = time.monotonic()
        outbox.put(ONE)
        assert time.monotonic() - began < 0.5
        outbox.close(patience=1)
        assert 0.9 < time.monotonic() - began < 2
        assert len(other.got) == 1
    assert "the chat did not get a message: it does not answer in time" in capsys.readouterr().err


def test_messages_arrive_in_order(there):
    outbox = Outbox([Slack(there.url)])
    for number in range(5):
        outbox.put(replace(ONE, release=number))
    outbox.close()
    assert [f"release {number} " in each.json["text"] for number, each in enumerate(there.got)] == [
        True
    ] * 5


def test_without_a_message_nobody_is_asked(there):
    Outbox([Slack(there.url)]).close()
    assert there.got == []


def test_who_sends_learns_whether_every_receiver_got_it(there):
    with receiver() as other:
        for statuses, told in (([], True), ([404], False)):
            other.statuses = statuses
            outbox = Outbox([Slack(there.url), Slack(other.url)])
            outbox.put(ONE)
            assert outbox.close() is told
        other.delay = 2
        outbox = Outbox([Slack(there.url), Slack(other.url)])
        outbox.put(ONE)
        assert outbox.close(patience=0.2) is False
