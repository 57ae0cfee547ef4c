"""Says when jobs are due. Of several that run, as while a deploy replaces one, only one does."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from celery.beat import ScheduleEntry, Scheduler
from celery.utils.log import get_logger
from redis import Redis
from redis.exceptions import LockNotOwnedError, RedisError

# Seconds: another takes over from one that died after LEASE; the lease is renewed every RENEW; one
# that stands by looks every WAIT.
LEASE, RENEW, WAIT = 15, 5, 0.2
# In the broker: who says when jobs are due, and when each job was sent last.
LOCK, SENT = "celery-beat:lock", "celery-beat:sent"
# Touched as long as it works, for the health check to look at.
HEARTBEAT = Path("/tmp/heartbeat")  # noqa: S108
logger = get_logger("celery.beat")


class Alone(Scheduler):
    """Sends jobs as long as it holds a lock in the broker, and stands by otherwise."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        url = self.app.conf.broker_url
        self.redis = Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5)
        self.lock = self.redis.lock(LOCK, timeout=LEASE, thread_local=False)
        self.held = False

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due, or stand by. Returns the seconds until the next look."""
        HEARTBEAT.touch()
        try:
            if not self._holds():
                return WAIT
            return min(super().tick(*args, **kwargs), RENEW)
        except RedisError as error:
            logger.warning("beat: The broker does not answer: %s", error)
            # What was not sent is still due.
            self._heap = None
            return RENEW

    def reserve(self, entry: ScheduleEntry) -> ScheduleEntry:
        """Note that a job is sent now."""
        self.redis.hset(SENT, entry.name, time.time())
        return super().reserve(entry)

    def close(self) -> None:
        """Let another take over at once."""
        if self.held:
            self.held = False
            with suppress(RedisError):
                self.lock.release()
        super().close()

    def _holds(self) -> bool:
        """Whether the lock is ours, renewed or taken just now."""
        if self.held:
            with suppress(LockNotOwnedError):
                return bool(self.lock.reacquire())
            logger.warning("beat: Another took over")
            self.held = False
        if self.lock.acquire(blocking=False):
            self._take_over()
        return self.held

    def _take_over(self) -> None:
        """Go on where the one before stopped: no job is missed, none is sent twice."""
        for name, entry in self.schedule.items():
            self.redis.hsetnx(SENT, name, time.time())
            sent = float(self.redis.hget(SENT, name))
            entry.last_run_at = datetime.fromtimestamp(sent, UTC)
        self._heap = None
        self.held = True
        logger.info("beat: Says when jobs are due")
