"""The project's own Compose files as stacks; it needs the docker command, and no engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from invoke import Config, Context

from tasks.lib.docker.compose import Project
from tasks.lib.orchestrators.stack import Stack
from tests.testbed.commands import ROOT

IMAGE = f"registry.example.com/app@sha256:{'a' * 64}"
NAME, SITE = "shop-prod", "https://shop.example.com"
VALUES = {
    "IMAGE": IMAGE,
    "STACK": NAME,
    "SITE_URL": SITE,
    "SITE_ADDRESS": ":80",
    "JOB_SECONDS": "300",
    "JOB_GRACE": "330s",
    "APP_READY": "/readyz",
    "APP_LIVE": "/livez",
    "APP_PAGE": "/",
}


def own_stack(render: Callable[..., Any], *more: str, **values: str) -> Stack:
    """The stack of the files for all servers and some more, as an orchestrator renders it."""
    files = [ROOT / f"compose/{name}.yml" for name in ("base", "server", *more)]
    ctx = Context(Config(overrides={"run": {"dry": False, "echo": False}}))
    config = Project(ctx, files, NAME, VALUES | values).config()
    names = {key: f"{NAME}_{key}_v1" for key in config["secrets"]}
    made: Stack = render(config, NAME, IMAGE, names)
    return made.labelled(1, "there")
