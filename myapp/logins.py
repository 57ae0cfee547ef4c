"""Wrong passwords are counted for each address: after too many of them it has to wait.

Not for each user: anybody could lock somebody else out. The limit is part of authentication itself,
so it holds for every login form.
"""

import logging

from django.conf import settings
from django.contrib.auth.signals import user_login_failed
from django.core.cache import cache
from django.dispatch import receiver
from django.http import HttpRequest

logger = logging.getLogger(__name__)


class TooManyLoginsError(Exception):
    """An address has to wait before it can log in; answered with 429 (middleware.Limits)."""


class LoginLimit:
    """The first backend: lets nobody in, and nobody try while their address has to wait."""

    def authenticate(self, request: HttpRequest | None, **credentials: object) -> None:
        """Raises TooManyLoginsError after LOGIN_FAILURES wrong passwords."""
        if request and _failures(request) >= settings.LOGIN_FAILURES:
            raise TooManyLoginsError


@receiver(user_login_failed)
def count(request: HttpRequest | None = None, **_: object) -> None:
    """Counts a wrong password; the first one begins a new LOGIN_PAUSE."""
    if request:
        try:
            cache.add(_key(request), 0, settings.LOGIN_PAUSE_SECONDS)
            cache.incr(_key(request))
        except Exception as error:
            logger.warning("A wrong password is not counted: %s", type(error).__name__)


def _failures(request: HttpRequest) -> int:
    """Returns the wrong passwords of an address; 0 while the cache is away."""
    try:
        return cache.get(_key(request), 0)
    except Exception as error:
        logger.warning("Wrong passwords are not limited: %s", type(error).__name__)
        return 0


def _key(request: HttpRequest) -> str:
    """Returns the name of the counter of the address that the proxy has seen."""
    seen = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
    return f"logins:{seen or request.META.get('REMOTE_ADDR', '')}"
