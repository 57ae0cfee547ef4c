"""Whether an answer comes from the site, or from what is in front of it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace

import msgspec
import pytest

from tasks.lib.deploys import preflight
from tasks.lib.environments import healthcheck
from tasks.lib.environments.healthcheck import NotReached
from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.http_client import HttpClient
from tests.orchestrators.servers import Quiet, serving, site
from tests.testbed.project import APP

INSTEAD = "--no-verify-url, which checks the site on its server"


def elsewhere(place: str) -> type[Quiet]:
    """A site that sends everybody to another one."""

    class Login(Quiet):
        def do_GET(self) -> None:
            self.answer(302, Location=f"http://{place}/login?next={self.path}")

    return Login


@pytest.mark.parametrize("status", [401, 403, 407])
def test_a_login_is_not_the_site(status):
    with (
        serving(site(lambda path: (status, ""))) as place,
        pytest.raises(NotReached, match=f"answers {status}: this machine has not reached the site"),
    ):
        healthcheck.verify(f"http://{place}", APP.probes, "abc", timeout=0.1)


def test_a_login_page_of_another_host_is_not_the_site():
    with (
        serving(site(lambda path: (200, "log in"))) as login,
        serving(elsewhere(login)) as place,
        pytest.raises(NotReached, match=f"redirects to {login}: this machine has not reached"),
    ):
        healthcheck.verify(f"http://{place}", APP.probes, "abc", timeout=0.1)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://site.invalid", "https://{}"])
def test_no_name_no_connection_and_no_certificate_are_not_the_site(url):
    with (
        serving(site(lambda path: (200, "not TLS"))) as place,
        pytest.raises(NotReached, match=INSTEAD),
    ):
        healthcheck.verify(url.format(place), APP.probes, "abc", timeout=0.1)


@pytest.mark.parametrize("answer", [(500, ""), (503, ""), (200, "{}"), (200, '{"version": "1"}')])
def test_a_wrong_answer_is_the_site_all_the_same(answer):
    with serving(site(lambda path: answer)) as place, pytest.raises(TaskError) as caught:
        healthcheck.verify(f"http://{place}", APP.probes, "abc", timeout=0.1)
    assert not isinstance(caught.value, NotReached)


@pytest.mark.parametrize(
    ("before", "wrong"),
    [((200, '{"version": "old"}'), ""), ((503, ""), ""), ((404, ""), "answers 404")],
)
def test_what_was_replaced_may_answer_for_longer_than_anything_else(monkeypatch, before, wrong):
    monkeypatch.setattr(healthcheck, "PATIENCE", 0.2)
    until = time.monotonic() + 1
    good = (200, '{"version": "abc"}')
    with (
        serving(site(lambda path: before if time.monotonic() < until else good)) as place,
        pytest.raises(TaskError, match=wrong) if wrong else nullcontext(),
    ):
        healthcheck.verify(f"http://{place}", APP.probes, "abc")


@contextmanager
def taciturn(hang: bool) -> Iterator[str]:
    """A server that reads a request, and then hangs or closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    made = server.accept()[0]
                    made.recv(1)
                    kept.append(made) if hang else made.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("hang", [True, False])
def test_a_site_that_accepts_a_request_and_never_answers_is_reached(hang):
    with taciturn(hang) as url:
        answer = healthcheck.ask(url, client=HttpClient((0.2, 0.2)))
    assert "does not answer" in answer.failure and answer.reached


def test_an_environment_that_is_not_public_is_verified_on_its_server(world):
    assert world.target.verify_url
    private = msgspec.structs.replace(world.target.environment, public=False)
    assert not replace(world.target, environment=private).verify_url


def test_a_name_that_does_not_resolve_is_refused_before_anything_is_changed(world):
    world.set_url("https://site.invalid")
    names = r"site\.invalid does not resolve - create its DNS record, or add --no-verify-url"
    with pytest.raises(TaskError, match=names) as caught:
        world.deploy(world.image())
    assert caught.value.code == ExitCode.REFUSED
    assert world.records() == []
    world.target.verify_url = False
    preflight.check(world.target, None)


def test_a_missing_certificate_is_a_warning_before_anything_is_changed(world, capfd):
    world.set_url(world.url.replace("http:", "https:"))
    preflight.check(world.target, None)
    shown = capfd.readouterr().err
    assert (
        "does not answer" in shown and f"if it stays so, the deploy fails; add {INSTEAD}" in shown
    )


def test_before_the_first_deploy_nothing_listens(world, capfd):
    world.set_url("http://127.0.0.1:1")
    preflight.check(world.target, None)
    assert capfd.readouterr().err == ""


def test_a_folder_that_cannot_be_written_is_refused(world):
    world.move("/proc/none")
    with pytest.raises(TaskError, match="memory: cannot write in /proc/none/prod ") as caught:
        preflight.check(world.target, None)
    assert "let its user write there" in str(caught.value)
    assert caught.value.code == ExitCode.REFUSED


@pytest.mark.parametrize("path", ["deploy", "new/folder", "{home}/deploy", "{home}/new/folder"])
def test_a_folder_that_can_be_written_stays_as_it_is(world, path):
    home = world.host.inner.home
    before = sorted(home.rglob("*"))
    world.move(path.format(home=home))
    assert world.target.history.problems() == []
    assert sorted(home.rglob("*")) == before
