"""Liveness and readiness, answered above every other middleware."""

from collections.abc import Callable

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse

OK = "ok"


class Probes:
    """Answers /livez and /readyz; everything else goes on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method in ("GET", "HEAD"):
            if request.path_info == "/livez":
                return live()
            # From inside only: the proxy in front marks what comes from outside.
            if request.path_info == "/readyz" and "HTTP_X_FORWARDED_FOR" not in request.META:
                return ready()
        return self.get_response(request)


def live() -> HttpResponse:
    """Says that the process answers, and which version it is; touches nothing."""
    return _answer(OK, {})


def ready() -> HttpResponse:
    """Says whether the database, the cache and the migrations let the app work."""
    checks = {"database": _check(_database), "cache": _check(_cache)}
    # Without a database, asking it again would only wait once more.
    database_works = checks["database"] == OK
    checks["migrations"] = _check(_migrations) if database_works else "unknown"
    bad = [f"{part} {state}" for part, state in checks.items() if state != OK]
    # Django logs the reason of a 503, so the log names the part.
    reason = f"Not ready ({', '.join(bad)})" if bad else None
    return _answer("unavailable" if bad else OK, {"checks": checks}, reason)


def _answer(status: str, more: dict[str, object], reason: str | None = None) -> HttpResponse:
    """Returns the status and the version as JSON that nobody caches."""
    return JsonResponse(
        {"status": status, "version": settings.VERSION, **more},
        status=503 if reason else 200,
        reason=reason,
        headers={"Cache-Control": "no-store"},
    )


def _check(check: Callable[[], str]) -> str:
    """Runs a check; a failure is named by its class alone, its text may hold a secret."""
    try:
        return check()
    except Exception as error:
        return type(error).__name__


def _database() -> str:
    """Asks the database for a row."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return OK


def _cache() -> str:
    """Writes to the cache."""
    cache.set("readyz", True, timeout=10)
    return OK


def _migrations() -> str:
    """Counts the migrations that this code has and the database has not."""
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return f"{len(pending)} pending" if pending else OK
