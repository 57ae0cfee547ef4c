"""Sends traces with OpenTelemetry: how long a request took, and what it did, with its jobs.

Instrumentations of other libraries, such as opentelemetry-instrumentation-psycopg, are used if they
are installed.
"""

import logging
import os
import sys
import time
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import set_global_textmap
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Status
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.re import parse_env_headers

from . import RELEASE, given

# Seconds for a request with spans; a process that ends waits for three of them at most.
TIMEOUT = 2
# How many spans wait at most, and are sent at once; more are dropped.
QUEUE, BATCH = 2048, 1024
# Seconds between two lines of the log about a receiver that is away.
PAUSE = 60
# What a client sends, or who it is; and addresses, which go without their query. A path goes only
# if it is of no view.
PRIVATE = {
    *("url.query", "user_agent.original", "client.address", "client.port"),
    *("network.peer.address", "network.peer.port"),
}
ADDRESSES = {"url.full", "http.url", "http.target"}
KIND = "exception.type"


class Traces(AppConfig):
    """An app without models, which begins when Django has its settings."""

    name = "appmetrics"

    def ready(self) -> None:
        """Begin to trace."""
        start(float(os.environ["TRACES"]))


class Outgoing(TraceContextTextMapPropagator):
    """Goes with what a server sends, and reads nothing: clients would choose what is traced."""

    def extract(self, carrier: Any, context: Context | None = None, getter: Any = None) -> Context:
        """Return the context as it is."""
        return context or Context()


class Seldom(logging.Filter):
    """Lets a line through now and then: of a receiver that is away, each process has many."""

    again = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line is logged."""
        if (now := time.monotonic()) < self.again:
            return False
        self.again = now + PAUSE
        return True


class Exporter(OTLPSpanExporter):
    """Sends spans, without what a client sent, and without errors' texts, which may have it."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send some."""
        return super().export([reduced(span) for span in spans])


def reduced(span: ReadableSpan) -> ReadableSpan:
    """Return a span as it is sent: of an error, its kind."""
    known = {key: value for key, value in (span.attributes or {}).items() if key not in PRIVATE}
    if "http.route" in known:
        known.pop("url.path", None)
    known |= {key: str(known[key]).partition("?")[0] for key in ADDRESSES & known.keys()}
    events = [
        Event(event.name, {KIND: (event.attributes or {}).get(KIND, "")}, event.timestamp)
        for event in span.events
    ]
    return ReadableSpan(
        span.name,
        span.context,
        span.parent,
        span.resource,
        known,
        events,
        span.links,
        span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def start(ratio: float) -> None:
    """Trace this share of requests, and their jobs. Ends the process if there is no address."""
    endpoint, headers = (given(f"OTEL_EXPORTER_OTLP_{name}") for name in ("ENDPOINT", "HEADERS"))
    if not endpoint.startswith(("http://", "https://")):
        sys.exit("monitoring.traces: OTEL_EXPORTER_OTLP_ENDPOINT must be http(s)://HOST:PORT.")
    role = os.environ.get("ROLE", "app")
    exporter = Exporter(
        f"{endpoint.rstrip('/')}/v1/traces",
        headers=parse_env_headers(headers, liberal=True),
        timeout=TIMEOUT,
    )
    logging.getLogger(OTLPSpanExporter.__module__).addFilter(Seldom())
    resource = Resource.create({"service.name": role, "service.version": RELEASE})
    provider = TracerProvider(ParentBased(TraceIdRatioBased(ratio)), resource)
    provider.add_span_processor(
        BatchSpanProcessor(exporter, max_queue_size=QUEUE, max_export_batch_size=BATCH)
    )
    trace.set_tracer_provider(provider)
    set_global_textmap(Outgoing() if role == "web" else TraceContextTextMapPropagator())
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
    # Below the app's own middleware: it asks for the request's host, which a probe need not have.
    options = {"django": {"middleware_position": len(settings.MIDDLEWARE)}}
    for entry in entry_points(group="opentelemetry_instrumentor"):
        entry.load()().instrument(**options.get(entry.name, {}))
    if os.environ.get("APP_CELERY"):
        from celery.signals import worker_process_shutdown

        # Such a process ends without what Python does at its end.
        worker_process_shutdown.connect(lambda **_: provider.shutdown(), weak=False)
