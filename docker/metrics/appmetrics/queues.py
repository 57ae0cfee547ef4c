"""Imported by Celery's worker and beat: writes down what waits on the queues, again and again.

A thread of theirs does it, since they know the app and its broker; it touches no metric, which the
next fork could find locked. What it writes, ./serve.py reads.
"""

from __future__ import annotations

import json
import os
import time
from threading import Thread
from typing import Any

from celery import Celery, current_app
from celery.signals import beat_init, worker_ready
from celery.utils.log import get_logger
from kombu import Connection
from redis import Redis

from . import slots
from .sent import SENT

FILE = "queues.json"
# Seconds between two looks.
PAUSE = 10
logger = get_logger("celery.worker")


@worker_ready.connect
@beat_init.connect
def start(**_: object) -> None:
    """Begin to look."""
    Thread(target=watch, args=(current_app._get_current_object(),), daemon=True).start()


def watch(app: Celery) -> None:
    """Write what is seen, again and again; while the broker is away, that it is."""
    known, heads = True, Heads()
    while True:
        found: dict[str, Any] = {"broker": False}
        try:
            found = look(app, heads)
        except Exception as error:
            if known:
                logger.warning("What waits on the queues is unknown: %s", type(error).__name__)
        known = bool(found["broker"])
        file = slots.folder() / FILE
        part = file.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(found))
        part.replace(file)
        time.sleep(PAUSE)


class Heads:
    """Since when the next job of each queue is known that does not say itself when it was sent.

    Another program has sent it, or a management command: it waits since then at least.
    """

    def __init__(self) -> None:
        self._since: dict[str, tuple[int, float]] = {}

    def since(self, key: str, job: bytes) -> float:
        """Return when a job was first seen to be the next one of a queue."""
        seen = self._since.get(key)
        if not seen or seen[0] != hash(job):
            seen = self._since[key] = hash(job), time.time()
        return seen[1]


def look(app: Celery, heads: Heads) -> dict[str, Any]:
    """Return how many jobs wait on each queue, when the first of them was sent, and beat's state.

    Only Redis shows a job without taking it from the queue.
    """
    import beat
    import broker
    import jobs

    own = os.environ.get("WORKER_QUEUES", "").split(",")
    depths = jobs.depths(app, {"": [{"name": name} for name in own if name]})
    sent = {}
    if broker.is_redis(app):
        with app.connection_for_read() as connection:
            sent = {name: first(connection, name, heads) for name in depths}
    url = broker.redis_url(app)
    with Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5) as redis:
        # Without a beat there is neither; of one that is gone, only the times.
        alive, known = redis.exists(beat.LOCK), redis.exists(beat.SENT)
    running = bool(alive) if alive or known else None
    return {"broker": True, "depths": depths, "sent": sent, "beat": running}


def first(connection: Connection, queue: str, heads: Heads) -> float | None:
    """Return when the job that is next on a queue of Redis was sent; None if there is none."""
    channel = connection.default_channel
    with channel.conn_or_acquire() as redis:
        keys = [channel._q_for_pri(queue, priority) for priority in channel.priority_steps]
        ends = {key: redis.lindex(key, -1) for key in keys}
    return min((sent_at(job, key, heads) for key, job in ends.items() if job), default=None)


def sent_at(job: bytes, key: str, heads: Heads) -> float:
    """Return when a job was sent, or else since when it is known."""
    at = (json.loads(job).get("headers") or {}).get(SENT)
    return float(at) if isinstance(at, int | float) else heads.since(key, job)
