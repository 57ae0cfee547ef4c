"""Settings for development: they need no variable at all."""

from . import env as variables
from .base import *  # noqa: F403
from .base import BASE_DIR, database
from .env import env

DEBUG = True
SECRET_KEY = env.optional(variables.SECRET_KEY, "only-for-development-and-tests")
SITE_URL = env.optional(variables.SITE_URL, "")
ALLOWED_HOSTS = env.optional(variables.ALLOWED_HOSTS, ["localhost", "127.0.0.1", "[::1]"])
SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(BASE_DIR / "db.sqlite3")}
DATABASES = {"default": database(env.optional(variables.DATABASE_URL, SQLITE))}

env.stop_if_wrong()
