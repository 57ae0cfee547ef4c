"""Imported by the worker: a job that this release does not know goes back on the queue for a while.

Celery would discard it. During a deploy, and after a rollback, the app of the newer release may
have sent it, and a worker of that release will know it. So that such a worker gets it, this one
takes no jobs for a moment when it gives the job back.
"""

import time
from typing import Any

from celery import bootsteps, current_app
from celery.utils.log import get_logger

# Seconds: until such a job is back on the queue; without new jobs then; after which the job is
# discarded, and has failed.
PAUSE, ASIDE, PATIENCE = 5, 1, 3600
logger = get_logger("celery.worker")


class Unknown(bootsteps.StartStopStep):
    """Keeps the jobs that it does not know."""

    requires = ("celery.worker.consumer:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self.discard, self.seen = parent.on_unknown_task, {}
        parent.on_unknown_task = lambda *found: self.hold(parent, *found)

    def hold(self, consumer: Any, body: Any, message: Any, error: KeyError) -> None:
        """Give a job back after a pause; meanwhile it is recorded as taken, like any other."""
        now = time.monotonic()
        self.seen = {id: at for id, at in self.seen.items() if now - at < 2 * PATIENCE}
        if now - self.seen.setdefault(message.headers.get("id"), now) > PATIENCE:
            self.discard(body, message, error)
            return
        logger.warning("Job %s is not known here; another worker may know it", error)
        consumer.qos.increment_eventually()
        consumer.timer.call_after(PAUSE, give_back, (consumer, message))


def give_back(consumer: Any, message: Any) -> None:
    """Return a job to the queue, for another worker."""
    taker = consumer.task_consumer
    if taker and message.channel is taker.channel:
        for queue in consumer.app.amqp.queues.consume_from:
            taker.cancel_by_queue(queue)
        consumer.timer.call_after(ASIDE, resume, (consumer, taker))
    consumer.qos.decrement_eventually()
    message.reject_log_error(logger, consumer.connection_errors, requeue=True)


def resume(consumer: Any, taker: Any) -> None:
    """Take jobs again, unless the worker stops or has lost its broker."""
    if consumer.task_consumer is taker:
        for queue in consumer.app.amqp.queues.consume_from.values():
            taker.add_queue(queue)
        taker.consume()


current_app.steps["consumer"].add(Unknown)
