"""Imported by the worker: a process that has grown is replaced after its job.

Otherwise the kernel kills one in the middle of a job when the container has no memory left. How
much each may have follows from the container's limit, unless worker_max_memory_per_child is set.
"""

import resource
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery.signals import worker_init
from celery.utils.log import get_logger

# Where the kernel says the limit, with control groups of version 2, and of version 1.
CGROUP, LIMITS = Path("/sys/fs/cgroup"), ("memory.max", "memory/memory.limit_in_bytes")
ENDLESS = 1 << 60
# How much of the limit is for processes: temporary files count as the container's memory, too.
USABLE = 0.9
# How much a process must be able to grow, compared with the worker: else each job would need a new
# one.
LEAST = 0.1
logger = get_logger("celery.worker")


def limit(folder: Path = CGROUP) -> int:
    """Return the bytes of memory that this container may have; 0 without a limit."""
    for name in LIMITS:
        # Without a limit it is a word or, in version 1, a number beyond any memory.
        with suppress(OSError, ValueError):
            if (value := int((folder / name).read_text())) < ENDLESS:
                return value
    return 0


def share(memory: int, worker: int, processes: int) -> int:
    """Return the KiB that each process may have; 0 if that is not enough to grow.

    Args:
        memory: the container's limit, in bytes.
        worker: the KiB of the worker, which all processes share with it, and which count in each.
    """
    growth = int((memory * USABLE / 1024 - worker) / processes)
    return worker + growth if growth >= worker * LEAST else 0


@worker_init.connect
def set_share(sender: Any, **_: object) -> None:
    """Have processes replaced that have more than their share, unless the app has set a limit."""
    processes, memory = sender.concurrency, limit()
    if sender.max_memory_per_child or not memory or not isinstance(processes, int):
        return
    worker = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sender.max_memory_per_child = share(memory, worker, processes)
    if not sender.max_memory_per_child:
        what = "worker: %d MiB are too few for %d processes: give it more, or lower %s"
        logger.warning(what, memory >> 20, processes, "WORKER_CONCURRENCY")
