"""Imported by the worker, which takes a job only when a process is free (worker_disable_prefetch).

When a countdown's job takes the last free process, the transport stops reading, even if it has
just asked the broker for a job. The answer, of which the broker has no record any more, would stay
in a socket until a process is free, and be lost if the worker died meanwhile. Here it is read, and
recorded.
"""

from typing import Any

from celery import bootsteps, current_app


class Reading(bootsteps.StartStopStep):
    """Reads what it has asked for."""

    requires = ("celery.worker.consumer:Tasks",)

    def start(self, parent: Any) -> None:
        """Let the channel of a new connection read, whatever runs."""
        channel = parent.task_consumer.channel
        free = channel.qos.can_consume
        channel.qos.can_consume = lambda: bool(channel._in_poll) or free()


current_app.steps["consumer"].add(Reading)
