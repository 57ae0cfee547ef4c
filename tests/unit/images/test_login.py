"""Whether a login that was stored some time ago is still good."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tasks.lib.environments import status
from tasks.lib.http_client import basic
from tasks.lib.images import login
from tasks.lib.registry.client import Registry
from tasks.lib.registry.credentials import Login
from tasks.lib.registry.reference import Reference
from tasks.lib.registry.session import Session
from tests.orchestrators.conftest import world  # noqa: F401
from tests.orchestrators.servers import Quiet, serving


class Closed(Quiet):
    """A registry in which only ann may read."""

    def do_HEAD(self) -> None:
        """Ask for a login."""
        given = self.headers.get("Authorization")
        if given != basic("ann", "correct horse"):
            self.answer(401, WWW_Authenticate='Basic realm="images"')
        else:
            self.answer(200, Docker_Content_Digest="sha256:1")


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry in which only ann may read."""
    with serving(Closed) as host:
        yield Registry(Reference.parse(f"{host}/shop"), Session(host))


def header(registry: Registry, password: str, user: str = "ann") -> str:
    """A login as it is stored."""
    return Login(registry.image.host, user, password, "before").header


def test_a_stored_login_is_denied_or_good(registry):
    assert not login.is_denied(registry, header(registry, "correct horse"), "sha256:1")
    assert login.is_denied(registry, header(registry, "battery staple"), "sha256:1")
    assert login.is_denied(registry, header(registry, "correct horse", "bob"), "sha256:1")


def test_a_registry_that_does_not_answer_denies_nothing(registry, capfd):
    gone = Registry(Reference.parse("127.0.0.1:1/shop"), Session("127.0.0.1:1"))
    assert not login.is_denied(gone, header(gone, "correct horse"), "sha256:1")
    assert capfd.readouterr().err == ""


def test_the_status_tells_that_no_node_can_pull_what_runs(world, registry):  # noqa: F811
    world.deploy(world.image())
    world.target.registry = registry
    cluster = world.target.orchestrator.inner.cluster
    assert status.read(world.target).problems == []
    cluster.login = header(registry, "correct horse")
    assert status.read(world.target).problems == []
    cluster.login = header(registry, "battery staple")
    (line,) = status.read(world.target).problems
    assert line == (
        f"{registry.image.host} denies the stored login: no node can pull the image"
        " - inv server.setup --env=prod stores yours"
    )
