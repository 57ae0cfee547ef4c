"""Imported by Celery's worker: what keeps jobs from being lost, run twice, or stuck unseen."""

import drain
import failures
import heartbeat
import lease
import reading
import unknown

__all__ = ["drain", "failures", "heartbeat", "lease", "reading", "unknown"]
