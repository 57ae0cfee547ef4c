"""What all settings share. Dev, test and prod import this and add what differs."""

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django_guid.integrations.celery import CeleryIntegration
from pythonjsonlogger.core import RESERVED_ATTRS

from . import env as variables
from .env import env, with_password

BASE_DIR = Path(__file__).resolve().parents[2]
VERSION = env.optional(variables.VERSION, "dev")
LOG_LEVEL = env.optional(variables.LOG_LEVEL, "INFO")
REDIS_URL = with_password(
    env.optional(variables.REDIS_URL, ""), env.optional(variables.REDIS_PASSWORD, "")
)

DEBUG = False
ROOT_URLCONF = "myapp.urls"
WSGI_APPLICATION = "myapp.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True

INSTALLED_APPS = [
    "myapp",
    "django_guid",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
# Lints migrations where it is installed: where tests run.
if find_spec("django_migration_linter"):
    INSTALLED_APPS.append("django_migration_linter")

MIDDLEWARE = [
    # Above everything: neither an HTTPS redirect nor a foreign Host header breaks a probe.
    "myapp.probes.Probes",
    "django_guid.middleware.guid_middleware",
    "myapp.middleware.RequestLog",
    "myapp.middleware.SecurityHeaders",
    "django.middleware.security.SecurityMiddleware",
    "myapp.middleware.Limits",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
# More headers than any browser sends.
MAX_HEADERS = 100

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

AUTHENTICATION_BACKENDS = [
    "myapp.logins.LoginLimit",
    "django.contrib.auth.backends.ModelBackend",
]
# After so many wrong passwords an address has to wait so long.
LOGIN_FAILURES = 10
LOGIN_PAUSE_SECONDS = 15 * 60

CSRF_COOKIE_HTTPONLY = True
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; object-src 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)

STATIC_URL = "/static/"
STATIC_ROOT = env.optional(variables.STATIC_ROOT, BASE_DIR / "static")


def database(config: dict[str, Any]) -> dict[str, Any]:
    """Adds to a database's settings what every connection of that kind needs."""
    password = env.optional(variables.DATABASE_PASSWORD, "")
    if config["ENGINE"].endswith("sqlite3"):
        # Take the write lock first: a transaction that reads and then writes cannot fail midway.
        options: dict[str, Any] = {"timeout": 20, "transaction_mode": "IMMEDIATE"}
    else:
        config = config | {"PASSWORD": config["PASSWORD"] or password}
        # Seconds, then milliseconds: a server that is gone is noticed, not waited for.
        options = {"connect_timeout": 3, "tcp_user_timeout": 10_000}
    return config | {"OPTIONS": options | config.get("OPTIONS", {})}


def cache(url: str) -> dict[str, Any]:
    """Returns the settings of the cache: Redis, or this process when there is none."""
    if not url:
        return {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "OPTIONS": {"MAX_ENTRIES": 100_000},
        }
    # No retry here: an increment whose answer got lost would count twice.
    return {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": url,
        "KEY_PREFIX": "myapp",
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1, "health_check_interval": 30},
    }


CACHES = {"default": cache(REDIS_URL)}

CELERY_BROKER_URL = REDIS_URL or "memory://"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A request that publishes a job must not hang on a broker that is down.
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "socket_connect_timeout": 1,
    "socket_timeout": 5,
}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_ALWAYS_EAGER = not REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
# How long a job may run. A worker that stops waits so long for its jobs; inv deploy sets it.
JOB_SECONDS = env.optional(variables.JOB_SECONDS, 300)
# First the job gets SoftTimeLimitExceeded, and some time to clean up.
CELERY_TASK_SOFT_TIME_LIMIT = JOB_SECONDS
CELERY_TASK_TIME_LIMIT = JOB_SECONDS + 10
# A job is acknowledged when it begins, so that it runs at most once. One that may run twice says
# so with @shared_task(acks_late=True): if its worker dies, it runs again.
CELERY_TASK_REJECT_ON_WORKER_LOST = True
# A worker takes a job only when it can begin it.
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_DISABLE_PREFETCH = True
# The root file system may be read-only.
CELERY_BEAT_SCHEDULE_FILENAME = str(Path(tempfile.gettempdir()) / "celerybeat-schedule")

# The link shortener: what beat asks for, by name.
CELERY_BEAT_SCHEDULE = {"flush-clicks": {"task": "myapp.tasks.flush_clicks", "schedule": 60}}
LINKS_PER_PAGE = 20
MEDIA_URL = "/media/"
MEDIA_ROOT = BASE_DIR / "media"
IMAGE_BYTES = 512 * 1024
# The proxy, which serves them, is another user.
FILE_UPLOAD_PERMISSIONS = 0o644
# How long clicks gather in the cache before a job writes them to the database.
CLICK_FLUSH_SECONDS = 5 if REDIS_URL else 0
# How long clicks go uncounted after the cache failed to answer: redirects must not wait for it.
CLICK_PAUSE_SECONDS = 2

DJANGO_GUID = {
    "GUID_HEADER_NAME": "X-Request-ID",
    "EXPOSE_HEADER": False,
    "INTEGRATIONS": [CeleryIntegration(use_django_logging=True)],
}

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "request_id": {
            "()": "django_guid.log_filters.CorrelationId",
            "correlation_id_field": "request_id",
        },
    },
    "formatters": {
        "text": {
            "format": "{asctime} {levelname:<7} {name} [{request_id!s:.8}] {message}",
            "datefmt": "%H:%M:%S",
            "style": "{",
        },
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "fmt": ["levelname", "name", "message", "request_id"],
            "rename_fields": {"levelname": "level", "name": "logger"},
            "timestamp": True,
            "reserved_attrs": [*RESERVED_ATTRS, "request"],
        },
    },
    "handlers": {
        "stdout": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "filters": ["request_id"],
            "formatter": "text",
        },
    },
    "root": {"handlers": ["stdout"], "level": LOG_LEVEL},
    "loggers": {
        # Without handlers of their own, all lines look alike.
        "django": {"handlers": [], "level": LOG_LEVEL, "propagate": True},
        "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
        "django_guid": {"level": "WARNING"},
    },
}
