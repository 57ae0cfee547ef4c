"""What surrounds every request: one line in the log, headers that protect the page, limits."""

import logging
from collections.abc import Callable
from time import perf_counter

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.encoding import escape_uri_path

from .logins import TooManyLoginsError

logger = logging.getLogger("myapp.request")

Response = Callable[[HttpRequest], HttpResponse]


class RequestLog:
    """Logs each request in one line, without its query, which may be private."""

    def __init__(self, get_response: Response) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        start = perf_counter()
        response = self.get_response(request)
        facts = {
            "method": request.method,
            # Escaped: a line break in a path must not make a line of its own.
            "path": escape_uri_path(request.path),
            "status": response.status_code,
            "duration_ms": round((perf_counter() - start) * 1000, 1),
        }
        logger.info("%(method)s %(path)s %(status)d %(duration_ms).1f ms", facts, extra=facts)
        return response


class SecurityHeaders:
    """Lets a page load only what this site serves, and use none of the device's sensors."""

    def __init__(self, get_response: Response) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        # Django's own error pages of development have their styles inline.
        if not (settings.DEBUG and response.status_code >= 400):
            response.headers.setdefault("Content-Security-Policy", settings.CONTENT_SECURITY_POLICY)
        response.headers.setdefault(
            "Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
        )
        return response


class Limits:
    """Refuses a request with too many headers, and a login after too many wrong passwords."""

    def __init__(self, get_response: Response) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if sum(name.startswith("HTTP_") for name in request.META) > settings.MAX_HEADERS:
            return _page(431)
        return self.get_response(request)

    def process_exception(self, _: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answers a login that the limit refuses."""
        return _page(429) if isinstance(error, TooManyLoginsError) else None


def _page(status: int) -> HttpResponse:
    """Returns the page of a status."""
    return HttpResponse(render_to_string(f"{status}.html"), status=status)
