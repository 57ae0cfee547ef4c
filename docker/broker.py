"""Which broker the app has, and where Redis is: the broker itself, or beside another one."""

import os
from pathlib import Path
from urllib.parse import quote, urlsplit

from celery import Celery

# Where the secrets are that a variable does not give.
SECRETS = Path("/run/secrets")


def is_redis(app: Celery) -> bool:
    """Return whether the app's broker is Redis, or speaks as it does."""
    return str(app.conf.broker_url).startswith("redis")


def redis_url(app: Celery) -> str:
    """Return the address of Redis, with its password."""
    if is_redis(app):
        return str(app.conf.broker_url)
    url = urlsplit(os.environ["REDIS_URL"])
    file = SECRETS / "REDIS_PASSWORD"
    password = os.environ.get("REDIS_PASSWORD") or (
        file.read_text().strip() if file.exists() else ""
    )
    if not (password and url.username) or url.password:
        return url.geturl()
    where = f"{url.username}:{quote(password, safe='')}@{url.netloc.rpartition('@')[2]}"
    return url._replace(netloc=where).geturl()
