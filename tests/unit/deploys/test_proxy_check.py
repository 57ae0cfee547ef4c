"""The proxy's configuration is validated before a deploy, when it is a new one."""

from __future__ import annotations

import pytest

from tasks.lib.deploys.predeploy import proxy
from tasks.lib.orchestrators.stack import Stack


def stack(**changes) -> Stack:
    """A stack with a proxy."""
    use = {"source": "caddyfile", "target": "/etc/caddy/Caddyfile"}
    service = {"image": "caddy:2", "environment": {"A": "b"}, "configs": [use], "cap_drop": ["ALL"]}
    service |= {"deploy": {"placement": {"constraints": ["node.labels.x == home"]}}}
    text = changes.pop("text", ":80")
    name = f"x_caddyfile_{text}"
    services = {"app": {"image": "app"}, "proxy": service | changes}
    return Stack(
        "x", "app", {"services": services, "configs": {"caddyfile": {"name": name}}}, {name: text}
    )


def test_a_first_deploy_validates_it_with_the_image_and_the_rights_of_the_proxy():
    (job,) = proxy(stack(), None)
    assert job.command[-1] == ":80" and job.command[:2] == ["sh", "-c"]
    assert job.overrides["image"] == "caddy:2"
    assert job.overrides["cap_drop"] == ["ALL"]
    assert job.overrides["deploy"]["placement"]["constraints"] == ["node.labels.x == home"]


@pytest.mark.parametrize(
    "change", [{"text": ":81"}, {"image": "caddy:3"}, {"environment": {"A": "c"}}]
)
def test_what_changes_is_validated(change):
    assert len(proxy(stack(**change), stack())) == 1


def test_what_stays_is_not_validated_again():
    assert proxy(stack(deploy={}), stack()) == []


def test_a_proxy_of_another_kind_is_not_validated():
    use = {"source": "caddyfile", "target": "/etc/nginx.conf"}
    assert proxy(stack(configs=[use]), None) == []
