"""What an app reports to a small real receiver: Sentry's envelopes, and OTLP over HTTP."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from invoke import Context

from tasks.lib.project import requirements
from tests.testbed.commands import ROOT, output
from tests.testbed.measured import environment
from tests.testbed.receivers import Receiver, Request

FOLDER = ROOT / ".inv/reporting"
# Run where the libraries are, which know what they send.
DECODE = r"""
import base64, gzip, json, sys
import brotli
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
for line in sys.stdin:
    path, encoding, body = json.loads(line)
    unpack = {"br": brotli.decompress, "gzip": gzip.decompress}.get(encoding, bytes)
    body = unpack(base64.b64decode(body))
    if path.endswith("/v1/traces"):
        print(json.dumps(MessageToDict(ExportTraceServiceRequest.FromString(body))))
        continue
    header, *rest = body.splitlines()
    print(json.dumps([json.loads(each) for each in (header, *rest) if each]))
"""


def variables(receiver: Receiver, **more: str) -> dict[str, str]:
    """Return what a container has that reports errors and traces to a receiver."""
    python = requirements.make(Context(), FOLDER, "app", "reporting")
    url = receiver.url
    return {
        "PYTHON": str(python),
        "ERRORS": "1",
        "SENTRY_DSN": f"{url.replace('//', '//public@')}/7",
        "SENTRY_ENVIRONMENT": "prod",
        "TRACES": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_RESOURCE_ATTRIBUTES": "service.namespace=shop,deployment.environment.name=prod",
        "APP_CELERY": "small_jobs",
        **more,
    }


@contextmanager
def worker(folder: Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the worker of small_jobs as the image does it; its log is worker.log of a folder."""
    start = '. "$0/docker/metrics/start.sh"; exec celery -A small_jobs worker --concurrency 1'
    one = subprocess.Popen(
        ["sh", "-euc", start, str(ROOT)], cwd=folder, start_new_session=True,
        env=environment(folder, "small_jobs", **env) | {"ROLE": "worker"},
        stdout=(folder / "worker.log").open("w"), stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield one
    finally:
        with suppress(ProcessLookupError):
            os.killpg(one.pid, signal.SIGKILL)
        one.wait()


def decoded(requests: Sequence[Request]) -> list[Any]:
    """Return what requests had in them."""
    lines = [
        json.dumps([each.path, each.headers.get("Content-Encoding"), _text(each.body)])
        for each in requests
    ]
    found = output([FOLDER / "bin/python", "-c", DECODE], text="\n".join(lines))
    return [json.loads(line) for line in found.splitlines()]


def _text(body: bytes) -> str:
    return base64.b64encode(body).decode()


def events(receiver: Receiver) -> list[dict[str, Any]]:
    """Return the events that Sentry got."""
    got = [each for each in [*receiver.got] if each.path.endswith("/envelope/")]
    return [
        payload
        for envelope in decoded(got)
        for header, payload in zip(envelope[1::2], envelope[2::2], strict=True)
        if header["type"] == "event"
    ]


def spans(receiver: Receiver, name: str = "") -> list[dict[str, Any]]:
    """Return the spans of a name, or all, with their attributes, and those of their resources."""
    return [
        {**span, "attributes": _plain(span), "resource": _plain(resource["resource"])}
        for each in decoded([each for each in [*receiver.got] if each.path == "/v1/traces"])
        for resource in each["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
        if name in ("", span["name"])
    ]


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    known = found.get("attributes", [])
    return {each["key"]: next(iter(each["value"].values())) for each in known}
