"""Lines that a repository may lack, as `inv doctor` shows them."""

from __future__ import annotations

from ..project.app_settings import App

SETTINGS = """from .base import *  # the settings that all uses share"""

MANAGE = """import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{dev}")
    execute_from_command_line(sys.argv)"""

DATABASE = """# django-environ; both may be files in /run/secrets instead of variables
DATABASES = {"default": env.db("DATABASE_URL") | {"PASSWORD": env("DATABASE_PASSWORD")}}"""

APPLICATION = """import os

from django.core.{kind} import get_{kind}_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{released}")
{name} = get_{kind}_application()"""

CELERY = """import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{released}")
app = Celery("{name}")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()"""


def manage(app: App) -> str:
    """Return a manage.py."""
    return MANAGE.format(dev=app.settings.dev)


def application(app: App) -> str:
    """Return the module of the application that the server loads."""
    kind = "asgi" if app.server == "uvicorn" else "wsgi"
    name = app.application.partition(":")[2]
    return APPLICATION.format(kind=kind, name=name, released=app.settings.released)


def celery(app: App) -> str:
    """Return the module of the Celery app."""
    return CELERY.format(name=app.celery.partition(".")[0], released=app.settings.released)


def probe(path: str) -> str:
    """Return a view that answers at a path."""
    view = f"path({path.strip('/')!r}, lambda request: HttpResponse('ok'))"
    return f"from django.http import HttpResponse\n\nurlpatterns += [{view}]"


def static(app: App) -> str:
    """Return where collectstatic writes to."""
    return f'STATIC_ROOT = BASE_DIR / "{app.static.root}"'
