"""The messages that are on their way: sent beside the deploy, which they neither stop nor slow."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from queue import Queue

from .. import console
from .message import Message
from .receivers import Receiver, UndeliveredError

# Seconds between the attempts to deliver a message.
PAUSES = (1, 4, 10)
# Seconds that the end of a deploy waits for messages on their way.
PATIENCE = 15
# Seconds in which each receiver has answered each attempt, or never will.
ALL_ATTEMPTS = 60


class Outbox:
    """Sends messages to all receivers, to each one in order."""

    def __init__(self, receivers: Sequence[Receiver], pauses: Sequence[float] = PAUSES) -> None:
        self._routes = [_Route(receiver, pauses) for receiver in receivers]

    def put(self, message: Message) -> None:
        """Send a message, beside what this thread does."""
        for route in self._routes:
            route.put(message)

    def close(self, patience: float = PATIENCE) -> bool:
        """Wait for what is on its way, and warn of what was not delivered.

        Args:
            patience: seconds to wait at most.
        Returns whether every receiver got every message, as far as is known by then.
        """
        end = time.monotonic() + patience
        for route in self._routes:
            route.close()
        return all([route.wait(end - time.monotonic()) for route in self._routes])


class _Route:
    """The way to one receiver: a queue, and a thread that ends with the process."""

    def __init__(self, receiver: Receiver, pauses: Sequence[float]) -> None:
        self._receiver, self._pauses = receiver, pauses
        self._queue: Queue[Message | None] = Queue()
        self._problems: list[str] = []
        self._thread = threading.Thread(target=self._work, daemon=True)

    def put(self, message: Message) -> None:
        self._queue.put(message)
        if not self._thread.ident:
            self._thread.start()

    def close(self) -> None:
        self._queue.put(None)

    def wait(self, seconds: float) -> bool:
        if self._thread.ident:
            self._thread.join(max(seconds, 0))
        late = ["it does not answer in time"] if self._thread.is_alive() else []
        problems = dict.fromkeys([*self._problems, *late])
        for problem in problems:
            console.warn(f"{self._receiver.name} did not get a message: {problem}")
        return not problems

    def _work(self) -> None:
        while message := self._queue.get():
            self._deliver(message)

    def _deliver(self, message: Message) -> None:
        for pause in (*self._pauses, None):
            try:
                return self._receiver.send(message)
            except UndeliveredError as error:
                if pause is None or not error.again:
                    return self._problems.append(str(error))
                time.sleep(pause)
