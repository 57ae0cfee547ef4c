"""What several tests need."""

import importlib
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from django.conf import settings
from django.core.cache import cache
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler
from django.test import SimpleTestCase

from myapp.celery import app
from myapp.settings import base

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "myapp.settings.prod",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "SITE_URL": "https://links.example.com",
    "DATABASE_URL": "sqlite://:memory:",
    "VERSION": "4f2a9c1",
    "ROLE": "web",
}


class CleanCache(SimpleTestCase):
    """Begins each test with an empty cache, and leaves none of its keys behind."""

    def setUp(self) -> None:
        super().setUp()
        forget()
        self.addCleanup(forget)


def forget() -> None:
    """Empties the cache of this process's keys; a Redis that others use too is not flushed."""
    if not settings.REDIS_URL:
        cache.clear()
        return
    import redis

    with redis.Redis.from_url(settings.REDIS_URL) as client:
        for key in client.scan_iter(f"{cache.make_key('*', version=1)}"):
            client.delete(key)


def closed_port() -> int:
    """Returns a port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cache_that_is_down() -> Any:
    """Returns a setting of the cache, as production has it, whose Redis does not answer."""
    return {"default": base.cache(f"redis://127.0.0.1:{closed_port()}/0")}


@contextmanager
def published(broker: str = "") -> Iterator[None]:
    """Sends jobs to a broker, as production does, instead of running them at once."""
    names = ("task_always_eager", "broker_url", "broker_write_url")
    before = [app.conf[name] for name in names]
    url = broker or settings.CELERY_BROKER_URL
    try:
        _configure(dict(zip(names, (False, url, url), strict=True)))
        yield
    finally:
        _configure(dict(zip(names, before, strict=True)))


def _configure(values: dict[str, Any]) -> None:
    """Changes Celery's configuration, and lets go of the connections made with the old one."""
    app.conf.update(values)
    app._pool = None
    app.amqp._producer_pool = None


@contextmanager
def database_that_is_down() -> Iterator[None]:
    """Puts a PostgreSQL that does not answer in the place of the database."""
    url = {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "127.0.0.1"}
    down = base.database(url | {"PORT": closed_port(), "USER": "x", "PASSWORD": "hidden"})
    real: BaseDatabaseWrapper = connections["default"]
    connections["default"] = ConnectionHandler({"default": down})["default"]
    try:
        yield
    finally:
        connections["default"] = real


def load_settings(name: str, **environ: str) -> ModuleType:
    """Imports a settings module afresh, with these variables and no others."""
    with mock.patch.dict(os.environ, environ, clear=True), mock.patch.dict(sys.modules):
        for module in [m for m in sys.modules if m.startswith("myapp.settings")]:
            del sys.modules[module]
        return importlib.import_module(f"myapp.settings.{name}")
