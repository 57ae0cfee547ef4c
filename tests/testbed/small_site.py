"""A Django project in one module, which tests serve and measure: nothing of it knows of metrics."""

import os
import time

from django.http import HttpRequest, HttpResponse
from django.urls import path

DEBUG = False
SECRET_KEY = "of a test"  # pragma: allowlist secret
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "small_site"
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]


def process(request: HttpRequest) -> HttpResponse:
    """Say which process answers."""
    return HttpResponse(str(os.getpid()))


def slow(request: HttpRequest, seconds: int) -> HttpResponse:
    """Answer late."""
    time.sleep(seconds)
    return HttpResponse("at last")


def broken(request: HttpRequest) -> HttpResponse:
    """Fail."""
    raise RuntimeError("on purpose")


urlpatterns = [
    path("", process, name="process"),
    path("slow/<int:seconds>", slow, name="slow"),
    path("broken", broken),
]
urlpatterns += [path(f"many/{number}", process, name=f"many-{number}") for number in range(400)]
