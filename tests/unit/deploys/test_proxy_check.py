"""The proxy's configuration is validated before anything is changed, when it is a new one."""

from __future__ import annotations

import pytest

from tasks.lib.deploys.proxy_check import caddyfile, changed
from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.orchestrators.stack import Stack


def stack(**changes) -> Stack:
    """A stack with a proxy."""
    use = {"source": "caddyfile", "target": "/etc/caddy/Caddyfile"}
    service = {"image": "caddy:2", "environment": {"A": "b"}, "configs": [use]}
    text = changes.pop("text", ":80")
    name = f"x_caddyfile_{text}"
    services = {"app": {"image": "app"}, "proxy": service | changes}
    return Stack(
        "x", "app", {"services": services, "configs": {"caddyfile": {"name": name}}}, {name: text}
    )


def test_a_first_deploy_validates_it():
    assert changed(stack(), None) == ["proxy"]
    assert caddyfile(stack(), stack().services["proxy"]) == ":80"


@pytest.mark.parametrize(
    "change", [{"text": ":81"}, {"image": "caddy:3"}, {"environment": {"A": "c"}}]
)
def test_what_changes_is_validated(change):
    assert changed(stack(**change), stack()) == ["proxy"]


def test_what_stays_is_not_validated_again():
    assert changed(stack(deploy={}), stack()) == []


def test_a_proxy_of_another_kind_is_not_validated():
    use = {"source": "caddyfile", "target": "/etc/nginx.conf"}
    assert changed(stack(configs=[use]), None) == []


def proxied(world, text: str) -> None:
    """Give the environment's next stacks a proxy with this configuration."""
    whole = world._render

    def render(*of) -> Stack:
        made = whole(*of)
        use = {"source": "Caddyfile", "target": "/etc/caddy/Caddyfile"}
        name = made.content["configs"]["Caddyfile"]["name"] = f"c_{text}"
        services = {**made.services, "proxy": {**made.services["proxy"], "configs": [use]}}
        return Stack(made.name, made.image, {**made.content, "services": services}, {name: text})

    world._render = render


@pytest.mark.parametrize("first", [True, False])
def test_a_typo_is_refused_before_anything_is_changed(world, first):
    if not first:
        proxied(world, ":80")
        world.deploy(world.image())
    proxied(world, "nonsense")
    with pytest.raises(TaskError, match=r"proxy: Caddyfile:1: .*: nonsense - correct") as caught:
        world.deploy(world.image())
    assert caught.value.code == ExitCode.REFUSED
    assert len(world.records()) == (0 if first else 1)
