"""Requests whose answers fail, logs whose connections break, and commands that read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, BinaryIO
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tasks.lib.errors import TaskError
from tasks.lib.kubernetes import execution, logs, requests
from tasks.lib.kubernetes.requests import ClusterError
from tests.orchestrators.servers import Quiet, serving


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing."""
    monkeypatch.setattr(requests, "PAUSES", (0, 0))
    monkeypatch.setattr(logs, "PAUSE", 0)


def answering(*statuses: int) -> type[Quiet]:
    """A server that gives one status after another."""
    left = iter(statuses)

    class Server(Quiet):
        def do_GET(self) -> None:
            self.answer(next(left), b"{}")

    return Server


def ask(place: str, *ready: bool) -> Any:
    """A request, as the client sends it, to an API server that is ready, or is so in the end."""
    states = iter(ready or [True])

    def get() -> Any:
        answer = httpx2.get(f"http://{place}/version", trust_env=False)
        answer.raise_for_status()
        return answer.json()

    return requests.call("prod/shop", lambda: next(states), get)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_asked_again(status):
    with serving(answering(status, status, 200)) as place:
        assert ask(place) == {}
    with serving(answering(status, status, status)) as place, pytest.raises(ClusterError) as caught:
        ask(place)
    assert caught.value.status == status


def test_an_api_server_that_starts_denies_nothing_for_good():
    with serving(answering(403, 403, 200)) as place:
        assert ask(place, False, False) == {}
    with serving(answering(403, 403, 200)) as place, pytest.raises(ClusterError) as caught:
        ask(place, False, True)
    assert caught.value.status == 403


@pytest.mark.parametrize(("status", "hint"), [(403, "let the user do"), (401, "sign in again")])
def test_a_refusal_is_no_reason_to_ask_again(status, hint):
    with serving(answering(status, 200)) as place, pytest.raises(ClusterError, match=hint):
        ask(place)


def test_what_may_not_be_there_is_none():
    with serving(answering(404)) as place:
        assert requests.unless(404, lambda: ask(place)) is None
    with serving(answering(403)) as place, pytest.raises(ClusterError):
        requests.unless(404, lambda: ask(place))


def test_a_server_that_does_not_answer_is_named():
    with pytest.raises(ClusterError, match=r"prod/shop: no answer from http://127\.0\.0\.1:9"):
        ask("127.0.0.1:9")


def test_a_log_goes_on_where_a_connection_broke_until_its_pod_is_gone():
    asked: list[dict[str, list[str]]] = []
    parts = [
        ["2026-01-01T12:00:00.100000000Z one", "2026-01-01T12:00:00.200000000Z two"],
        ["2026-01-01T12:00:00.200000000Z two", "2026-01-01T12:00:00.300000000Z three"],
    ]

    class Server(Quiet):
        def do_GET(self) -> None:
            asked.append(parse_qs(urlsplit(self.path).query))
            if len(asked) > len(parts):
                return self.answer(404)
            body = "".join(f"{line}\n" for line in parts[len(asked) - 1]).encode()
            self.send_response(200)
            # More than is sent: the connection breaks.
            self.send_header("Content-Length", str(len(body) + 1))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
            self.close_connection = True

    with serving(Server) as place, httpx2.Client(base_url=f"http://{place}") as http:
        found = [*logs.followed(http, "log", {"container": "app", "tailLines": "2"})]
    assert found == ["one", "two", "three"]
    assert [each.get("tailLines") for each in asked] == [["2"], None, None]
    assert asked[1]["sinceTime"] == ["2026-01-01T12:00:00.200000000Z"]


def chunks() -> Iterator[bytes]:
    """More than a pipe holds."""
    return (b"x" * 65536 for _ in range(20))


def test_a_command_reads_what_is_written_meanwhile():
    def write(output: BinaryIO) -> None:
        for chunk in chunks():
            output.write(chunk)

    assert execution.fed(lambda stdin: len(stdin.read()), write) == 20 * 65536
    # A command that reads no further ends well; who writes to it is not left waiting.
    assert execution.fed(lambda stdin: stdin.read(1), write) == b"x"


def test_what_fails_while_it_is_written_is_the_failure():
    def write(output: BinaryIO) -> None:
        output.write(b"a part")
        raise TaskError("the file was cut short")

    with pytest.raises(TaskError, match="cut short"):
        execution.fed(lambda stdin: stdin.read(), write)


def test_a_command_that_fails_says_so_before_all_is_written():
    def fail(stdin: BinaryIO) -> None:
        raise ClusterError("prod/shop", "exit 1")

    began = time.monotonic()
    with pytest.raises(ClusterError, match="exit 1"):
        execution.fed(fail, lambda output: [output.write(chunk) for chunk in chunks()])  # type: ignore[func-returns-value]
    assert time.monotonic() - began < 5
