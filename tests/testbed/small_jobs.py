"""small_site with jobs, whose broker is a folder: nothing of it knows who is told of its errors."""

import logging
import os
from pathlib import Path

from celery import Celery
from django.core.exceptions import SuspiciousOperation
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from small_site import ALLOWED_HOSTS, DEBUG, MIDDLEWARE, SECRET_KEY

__all__ = ["ALLOWED_HOSTS", "DEBUG", "MIDDLEWARE", "SECRET_KEY"]
ROOT_URLCONF = "small_jobs"
FOLDER = Path(os.environ["TMPDIR"], "broker")
FOLDER.mkdir(exist_ok=True)

app = Celery("small_jobs", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": str(FOLDER),
    "data_folder_out": str(FOLDER),
    "control_folder": str(FOLDER),
}
app.conf.task_ignore_result = True
logger = logging.getLogger("shop")


@app.task
def good(card: str) -> None:
    """Do nothing with what is given."""


@app.task
def bad(card: str) -> None:
    """Fail, with something in hand."""
    number = card
    raise RuntimeError("a job, on purpose", len(number))


def order(request: HttpRequest, job: str) -> HttpResponse:
    """Take a form, and send a job with what is in it."""
    {"good": good, "bad": bad}[job].delay(request.POST["card"])
    return HttpResponse("thanks")


def fail(request: HttpRequest) -> HttpResponse:
    """Fail, with all that the client has sent in hand."""
    card, sent, cookies = request.POST.get("card"), request.GET.dict(), request.COOKIES
    logger.warning("about to fail", extra={"request": request, "sent": sent})
    raise RuntimeError("on purpose", bool(card and cookies))


def tell(request: HttpRequest) -> HttpResponse:
    """Fail with a text that has a secret."""
    logger.error("cannot log in with %s", os.environ["CANARY_SECRET"], extra={"request": request})
    return HttpResponse("told")


def twice(request: HttpRequest) -> HttpResponse:
    """Fail as a database does about a value that is there already, in PostgreSQL's words."""
    why = f"Key (card)=({request.POST['card']}) already exists."
    raise IntegrityError(f'duplicate key value violates unique constraint "one"\nDETAIL:  {why}\n')


def odd(request: HttpRequest) -> HttpResponse:
    """Fail as Django does about a client."""
    raise SuspiciousOperation("odd")


urlpatterns = [
    path("order/<str:job>", order),
    path("fail", fail, name="fail"),
    path("tell", tell),
    path("odd", odd),
    path("twice", twice),
    path("", include("small_site")),
]
