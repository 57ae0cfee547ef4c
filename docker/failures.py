"""Imported by the worker: keeps the last jobs that failed in the broker, for `inv jobs`.

A job that will be retried has not failed. The error's text may have secrets: it stays in the log.
"""

import json
import time
from typing import Any

import broker
from celery import current_app
from celery.signals import task_failure, task_unknown
from celery.utils.log import get_logger
from redis import Redis
from redis.exceptions import RedisError

# The key in the broker, and how many failures it keeps.
FAILED, KEEP = "celery-failed", 100
logger = get_logger("celery.worker")


@task_failure.connect
def failed(sender: Any, task_id: str, exception: BaseException, **_: object) -> None:
    """Keep a failure by the class of its error."""
    keep(sender.name, task_id, type(exception).__name__)


@task_unknown.connect
def discarded(name: str, id: str, **_: object) -> None:
    """Keep a job that no worker has known for long."""
    keep(name, id, "NotRegistered")


def keep(job: str, id: str, error: str) -> None:
    """Keep a failure; that it is kept is not worth another one."""
    failure = {"at": time.time(), "job": job, "id": id, "error": error}
    url = broker.redis_url(current_app)
    try:
        with Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5) as redis:
            redis.lpush(FAILED, json.dumps(failure))
            redis.ltrim(FAILED, 0, KEEP - 1)
    except RedisError as away:
        logger.warning("A failed job is not kept: %s", away)
