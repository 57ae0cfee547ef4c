"""Imported by the worker: what it does when it is stopped (SIGTERM).

It takes no more jobs. Those that it has not begun go back on the queue at once, also those with a
countdown. Those that run end; meanwhile the worker answers, and enforces their time limits. A job
that runs on after the time limit for all jobs goes back on the queue if it is acknowledged late.
"""

import signal
import sys
import time
from threading import Thread
from typing import Any

from celery import current_app
from celery.platforms import EX_FAILURE, EX_OK
from celery.signals import worker_init, worker_ready
from celery.utils.log import get_logger
from celery.worker import state

# Seconds: between two looks at what runs; after the time limit, until the worker gives up waiting;
# after which its main thread is not in its loop, but waits for the broker.
POLL, SPARE, SETTLED = 0.2, 10, 5
logger = get_logger("celery.worker")


@worker_init.connect
def check(**_: object) -> None:
    """End the worker if a job of the app can be lost when it stops."""
    limit = current_app.conf.task_time_limit
    for name, task in sorted(current_app.tasks.items()):
        if not task.acks_late and (task.time_limit or 0) > limit:
            what = (
                f"{name} may run {task.time_limit} s, and a worker that stops waits only {limit} s"
            )
            sys.exit(f"{what}: make it acks_late, or raise deploy.joblimit in invoke.yaml")


@worker_ready.connect
def install(sender: Any, **_: object) -> None:
    """Drain at SIGTERM."""
    thread = Thread(target=drain, args=(sender,), daemon=True)
    signal.signal(signal.SIGTERM, lambda *_: thread.is_alive() or thread.start())


def drain(consumer: Any) -> None:
    """Stop the worker when nothing runs any more, or when the time is over."""
    logger.warning("worker: Takes no more jobs; %d run", len(state.reserved_requests))
    began, queues = time.monotonic(), consumer.app.amqp.queues
    while True:
        # Again and again: if it loses its broker and finds it again, it takes jobs again.
        consumer.hub.call_soon(give_back, consumer)
        time.sleep(POLL)
        passed = time.monotonic() - began
        if passed > consumer.app.conf.task_time_limit + SPARE:
            state.should_terminate = EX_FAILURE
        elif state.reserved_requests or state.scheduled_requests:
            continue
        elif not queues.consume_from or passed > SETTLED:
            state.should_stop = EX_OK


def give_back(consumer: Any) -> None:
    """Take no more jobs, and return to the queue what has not begun. Runs in the main thread."""
    if consumer.task_consumer:
        for queue in [*consumer.app.amqp.queues.consume_from]:
            consumer.cancel_task_queue(queue)
        for request in waiting(consumer):
            request.reject(requeue=True)
            state.task_ready(request)


def waiting(consumer: Any) -> list[Any]:
    """Take the jobs that have not begun out of the worker's own queues, and return them."""
    found = list(state.scheduled_requests)
    for request in found:
        consumer.timer.cancel(request._eta_timer_entry)
    for bucket in filter(None, consumer.task_buckets.values()):
        found += [request for request, _ in bucket.contents if request not in found]
        bucket.clear_pending()
    waiters = consumer.controller.semaphore._waiting
    found += [request for _, (request, *_), _ in waiters]
    waiters.clear()
    return found
