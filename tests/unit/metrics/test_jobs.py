"""What a worker counts of its jobs; tests/image/test_metrics.py has a real one."""

from __future__ import annotations

import subprocess

from tests.testbed.measured import PYTHON, environment

JOBS = """
import appmetrics.jobs
from celery import Celery
app = Celery()
@app.task
def good(): pass
@app.task
def bad(): raise ValueError("on purpose")
@app.task(max_retries=1, default_retry_delay=0)
def again(): again.retry(exc=ValueError("again"))
for task in (good, good, bad, again):
    task.apply()
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""


def test_jobs_are_counted_by_how_they_end(tmp_path):
    env = environment(tmp_path, PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    done = subprocess.run([PYTHON, "-c", JOBS], env=env, capture_output=True, text=True)
    line = 'app_jobs_total{name="__main__.%s",outcome="%s",release="abc"} %s'
    wanted = ("good", "success", 2.0), ("bad", "failure", 1.0), ("again", "retry", 1.0)
    for found in (*wanted, ("again", "failure", 1.0)):
        assert line % found in done.stdout, done.stdout + done.stderr
    assert 'app_job_seconds_count{name="__main__.bad",release="abc"} 1.0' in done.stdout
    assert "app_jobs_in_progress 0.0" in done.stdout
