"""Print what the app's jobs do, as JSON in one line: queues, workers, jobs, failures.

Usage: jobs.py PACKAGE. It ends with status 0 also if the broker does not answer.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import broker
import failures
from celery import Celery
from celery.app.utils import find_app
from kombu import Connection
from kombu.exceptions import ChannelError, OperationalError
from redis import Redis
from redis.exceptions import RedisError

# Seconds that the workers have to answer.
PATIENCE = 5
# What a worker calls the jobs that it holds, and what we call them.
STATES = {"active": "running", "reserved": "reserved", "scheduled": "scheduled"}


def find(app: Celery) -> dict[str, Any]:
    """Return what the app's jobs do now."""
    queues = app.control.inspect(timeout=PATIENCE).active_queues() or {}
    # As soon as all of them have answered, it waits no longer.
    inspect = app.control.inspect([*queues], timeout=PATIENCE, limit=len(queues))
    held = {each: getattr(inspect, each)() or {} for each in STATES} if queues else {}
    return {
        "queues": depths(app, queues),
        "workers": {name: bool(taken) for name, taken in sorted(queues.items())},
        "jobs": [*jobs(app, held)],
        "failures": failed(broker.redis_url(app)),
    }


def depths(app: Celery, taken: Mapping[str, Any]) -> dict[str, int]:
    """Return how many jobs wait in each queue of the settings or of a worker."""
    names = {*app.amqp.queues, *(queue["name"] for each in taken.values() for queue in each)}
    with app.connection_for_read() as connection:
        if broker.is_redis(app):
            return {name: connection.default_channel._size(name) for name in sorted(names)}
        return {name: depth(connection, name) for name in sorted(names)}


def depth(connection: Connection, name: str) -> int:
    """Return how many jobs wait in a queue of an AMQP broker; it may not be there yet."""
    with suppress(ChannelError), connection.channel() as channel:
        return int(channel.queue_declare(queue=name, passive=True).message_count)
    return 0


def jobs(app: Celery, held: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the jobs that workers hold."""
    for state, workers in held.items():
        for worker, requests in workers.items():
            for each in requests:
                request = each.get("request", each)
                yield {
                    "job": request["name"],
                    "id": request["id"],
                    "worker": worker,
                    "state": STATES[state],
                    "seconds": since(request.get("time_start")),
                    "limit": limit(app, request),
                }


def since(began: float | None) -> int | None:
    """Return the seconds since a job began, by this machine's clock."""
    return max(int(time.time() - began), 0) if began else None


def limit(app: Celery, request: Mapping[str, Any]) -> int:
    """Return how many seconds a job may run."""
    own = (request.get("timelimit") or [None])[0]
    task = app.tasks.get(request["name"])
    return int(own or getattr(task, "time_limit", None) or app.conf.task_time_limit)


def failed(url: str) -> list[dict[str, Any]]:
    """Return the last failures, the newest first."""
    with Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5) as redis:
        return [json.loads(each) for each in redis.lrange(failures.FAILED, 0, -1)]


def main(package: str) -> None:
    """Print what the jobs of an app do, or why that is unknown."""
    app = find_app(package)
    app.loader.import_default_modules()
    try:
        found = find(app)
    except (OperationalError, RedisError, OSError) as error:
        found = {"problem": f"the broker does not answer: {type(error).__name__}"}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
