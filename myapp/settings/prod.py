"""Settings for production. What must be set is set, or the process ends with one line."""

import sys

from . import env as variables
from .base import *  # noqa: F403
from .base import LOGGING, database
from .env import env, host_of

SECRET_KEY = env.required(variables.SECRET_KEY, "unset")
SITE_URL = env.required(variables.SITE_URL, "https://unset.invalid")
ALLOWED_HOSTS = env.optional(variables.ALLOWED_HOSTS, [host_of(SITE_URL)])
CSRF_TRUSTED_ORIGINS = [SITE_URL]

UNSET = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
DATABASES = {
    "default": database(env.required(variables.DATABASE_URL, UNSET))
    | {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
}

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# The proxy in front ends TLS, and sets this header itself whatever a client sends.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

if SITE_URL.startswith("https://"):
    SECURE_SSL_REDIRECT = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
else:
    # A site that is served over plain http (a rehearsal, an intranet) can have none of the above:
    # HSTS, the redirect to https, secure session and CSRF cookies. Only these checks are silent.
    SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008", "security.W012", "security.W016"]

LOGGING["handlers"]["stdout"]["formatter"] = "json"

# At image build there is no secret, and collecting static files needs none.
if sys.argv[1:2] != ["collectstatic"]:
    env.stop_if_wrong()
