"""small_site with metrics that the app itself makes: nothing of it knows how they are served."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from prometheus_client import Counter, Gauge, Histogram
from small_site import ALLOWED_HOSTS, DEBUG, MIDDLEWARE, SECRET_KEY, process

__all__ = ["ALLOWED_HOSTS", "DEBUG", "MIDDLEWARE", "SECRET_KEY"]
ROOT_URLCONF = "small_metrics"
ORDERS = Counter("shop_orders", "Orders that were taken", ["kind"])
VALUE = Histogram("shop_order_value", "What an order is worth", buckets=(10, 100))
OPEN = Gauge("shop_open", "Whether the shop is open", multiprocess_mode="max")


def order(request: HttpRequest, kind: str, value: int) -> HttpResponse:
    """Take an order; say which process did."""
    ORDERS.labels(kind).inc()
    VALUE.observe(value)
    OPEN.set(1)
    return process(request)


urlpatterns = [path("order/<str:kind>/<int:value>", order), path("", include("small_site"))]
