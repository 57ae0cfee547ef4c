"""Clicks are counted in the cache, and written to the database by a job.

The counter of a link holds the link's total, starting from what the database has. A flush raises
the database to that total and never lowers it, so it can run twice, at once or again after a
failure, and no click is lost or counted twice.
"""

import logging
from contextvars import copy_context
from time import monotonic

from django.conf import settings
from django.core.cache import cache
from django.db import transaction

from .models import Link

logger = logging.getLogger(__name__)

FLUSH_ASKED = "clicks:flush-asked"
BATCH = 1000


class Outage:
    """Remembers that the cache failed: for a moment nobody waits for it or logs it again."""

    def __init__(self) -> None:
        self.until = 0.0

    def lasts(self) -> bool:
        """Says whether the cache failed a moment ago."""
        return monotonic() < self.until

    def began(self, error: Exception) -> None:
        """Notes a failure and logs it in one line."""
        self.until = monotonic() + settings.CLICK_PAUSE_SECONDS
        logger.warning("Clicks are not counted: %s", type(error).__name__)


outage = Outage()


def counter(link: Link) -> str:
    """Returns the name of a link's counter; the code tells it from a restored database's."""
    return f"clicks:{link.pk}:{link.code}"


def count(link: Link) -> None:
    """Counts one click; a failure is logged, never raised: the visitor wants the redirect."""
    if outage.lasts():
        return
    try:
        _increment(link)
        _ask_for_flush()
    except Exception as error:
        outage.began(error)


def _increment(link: Link) -> None:
    """Adds one to the link's counter, which begins at the total that the database has."""
    name = counter(link)
    cache.add(name, link.clicks, timeout=None)
    total = cache.incr(name)
    # A counter behind the database was lost or restored from an old copy: one click repairs it.
    if total <= link.clicks and cache.add(f"{name}:repair", True, timeout=60):
        cache.incr(name, link.clicks - total + 1)


def _ask_for_flush() -> None:
    """Asks for a flush soon, unless one is asked for already."""
    from .tasks import flush_clicks

    if cache.add(FLUSH_ASKED, True, timeout=60):
        # In a context of its own, a job that runs right here keeps its request id to itself.
        copy_context().run(flush_clicks.apply_async, countdown=settings.CLICK_FLUSH_SECONDS)


def flush() -> int:
    """Writes the totals to the database; returns how many links changed."""
    # Before reading: a click that comes later than this asks for the next flush.
    cache.delete(FLUSH_ASKED)
    changed = last = 0
    while links := list(Link.objects.order_by("pk").filter(pk__gt=last)[:BATCH]):
        last = links[-1].pk
        totals = cache.get_many([counter(link) for link in links])
        with transaction.atomic():
            changed += sum(raise_total(link, totals.get(counter(link), 0)) for link in links)
    return changed


def raise_total(link: Link, total: int) -> bool:
    """Raises a link's clicks to the total, in one statement; a smaller total changes nothing."""
    if total <= link.clicks:
        return False
    return Link.objects.filter(pk=link.pk, clicks__lt=total).update(clicks=total) > 0
