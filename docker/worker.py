"""Imported by Celery's worker: what keeps jobs from being lost, run twice, or stuck unseen."""

import os

import broker
import children
import drain
import failures
import heartbeat
import unknown
from celery import current_app

__all__ = ["children", "drain", "failures", "heartbeat", "unknown"]

# Other brokers know by themselves whose jobs nobody holds any more.
if broker.is_redis(current_app):
    import lease
    import reading

    __all__ += ["lease", "reading"]

if os.environ.get("METRICS"):
    from appmetrics import jobs, queues

    __all__ += ["jobs", "queues"]
