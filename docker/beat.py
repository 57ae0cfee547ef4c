"""Celery's scheduler. If several run, as during a deploy, only one of them sends jobs."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import broker
from celery.beat import ScheduleEntry, Scheduler
from celery.utils.log import get_logger
from redis import Redis
from redis.exceptions import LockNotOwnedError, RedisError

# Seconds: the lock of a dead scheduler expires after LEASE; its owner renews it every RENEW; a
# scheduler that stands by tries to take it every WAIT.
LEASE, RENEW, WAIT = 15, 5, 0.2
# Keys in the broker: the lock of the active scheduler, and when each job was last sent.
LOCK, SENT = "celery-beat:lock", "celery-beat:sent"
# Touched while the scheduler works; the healthcheck reads its age.
HEARTBEAT = Path("/tmp/heartbeat")  # noqa: S108
logger = get_logger("celery.beat")

if os.environ.get("METRICS"):
    import appmetrics.queues  # noqa: F401


class Alone(Scheduler):
    """Sends jobs while it holds the lock in the broker, and stands by otherwise."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        url = broker.redis_url(self.app)
        self.redis = Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5)
        self.lock = self.redis.lock(LOCK, timeout=LEASE, thread_local=False)
        self.held = False

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send the jobs that are due, or stand by. Returns the seconds until the next tick."""
        HEARTBEAT.touch()
        try:
            if not self._holds():
                return WAIT
            return min(super().tick(*args, **kwargs), RENEW)
        except RedisError as error:
            logger.warning("beat: The broker does not answer: %s", error)
            # Jobs that were not sent are still due.
            self._heap = None
            return RENEW

    def reserve(self, entry: ScheduleEntry) -> ScheduleEntry:
        """Record that a job is sent now."""
        self.redis.hset(SENT, entry.name, time.time())
        return super().reserve(entry)

    def close(self) -> None:
        """Release the lock, so that another scheduler takes over at once."""
        if self.held:
            self.held = False
            with suppress(RedisError):
                self.lock.release()
        super().close()

    def _holds(self) -> bool:
        """Renew or take the lock. Returns whether this scheduler holds it."""
        if self.held:
            with suppress(LockNotOwnedError):
                return bool(self.lock.reacquire())
            logger.warning("beat: Another took over")
            self.held = False
        if self.lock.acquire(blocking=False):
            self._take_over()
        return self.held

    def _take_over(self) -> None:
        """Continue where the last scheduler stopped: miss no job, and send none twice."""
        for name, entry in self.schedule.items():
            self.redis.hsetnx(SENT, name, time.time())
            sent = float(self.redis.hget(SENT, name))
            entry.last_run_at = datetime.fromtimestamp(sent, UTC)
        self._heap = None
        self.held = True
        logger.info("beat: Says when jobs are due")
