"""Settings for tests: SQLite in memory and no Redis, unless variables name real servers."""

import os

from . import env as variables
from .base import *  # noqa: F403
from .base import CACHES, CELERY_BROKER_TRANSPORT_OPTIONS, LOGGING, database
from .env import env

SECRET_KEY = "only-for-development-and-tests"  # noqa: S105
SITE_URL = "https://links.example.com"
ALLOWED_HOSTS = ["links.example.com"]
SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
DATABASES = {"default": database(env.optional(variables.DATABASE_URL, SQLITE))}

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Jobs run where they are called: no test depends on a worker, even when Redis is there.
CELERY_TASK_ALWAYS_EAGER = True
CELERY_TASK_DEFAULT_QUEUE = f"myapp-test-{os.getpid()}"
CELERY_BROKER_TRANSPORT_OPTIONS["polling_interval"] = 0.01
# Nothing is collected for tests; files are served from where they are.
WHITENOISE_AUTOREFRESH = True
WHITENOISE_USE_FINDERS = True
LOGGING["handlers"]["stdout"] = {"class": "logging.NullHandler"}

# The link shortener: clicks are written at once.
CLICK_FLUSH_SECONDS = 0


def key_of_this_process(key: str, prefix: str, version: int) -> str:
    """Returns a cache key that parallel test processes do not share."""
    return f"myapp-test-{os.getpid()}:{version}:{key}"


CACHES["default"]["KEY_FUNCTION"] = key_of_this_process

env.stop_if_wrong()
