"""Imported by the worker: renews its hold on the jobs that it has not acknowledged.

A job that nobody holds for LEASE seconds is run again: its worker was killed, or lost its broker.
Without renewal the time would have to be longer than every job, and than every countdown.
"""

import time
from contextlib import suppress
from threading import Thread
from typing import Any

from celery import current_app
from celery.signals import worker_ready
from celery.utils.log import get_logger
from redis import Redis
from redis.exceptions import RedisError

# Seconds: how long a job stays with a worker that does not renew; between two renewals; between
# two searches for jobs that nobody holds.
LEASE, RENEW, SEARCH = 60, 10, 10
logger = get_logger("celery.worker")

options = {
    "visibility_timeout": LEASE,
    "unacked_restore_interval": SEARCH,
    "unacked_restore_throttle": 1,
}
conf = current_app.conf
conf.broker_transport_options = {**conf.broker_transport_options, **options}


@worker_ready.connect
def start(sender: Any, **_: object) -> None:
    """Begin to renew. A thread does it: a worker that stops waits for its jobs."""
    Thread(target=renew, args=(sender,), daemon=True).start()


def renew(consumer: Any) -> None:
    """Renew the lease of all jobs that the worker holds, again and again."""
    url = consumer.app.conf.broker_url
    with Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5) as redis:
        while True:
            time.sleep(RENEW)
            # The worker's main thread may take a job meanwhile: the next round comes soon.
            with suppress(RedisError, RuntimeError):
                if consumer.task_consumer and (held := tags(consumer.task_consumer.channel)):
                    name = consumer.task_consumer.channel.unacked_index_key
                    redis.zadd(name, dict.fromkeys(held, time.time()), xx=True)


def tags(channel: Any) -> list[str]:
    """Return the delivery tags of the jobs that were not acknowledged."""
    return list(channel.qos._delivered)
