"""The app's own settings, with what counts requests, and what reports errors and traces.

DJANGO_SETTINGS_MODULE names this module, and METRICS_SETTINGS the app's: so any app is watched,
with any server, and without a line in its own settings.
"""

import importlib
import os

if os.environ.get("METRICS"):
    from prometheus_client import values

    from . import slots

    # Before anything is counted, also by the app itself.
    values.ValueClass = values.MultiProcessValue(slots.slot)
if os.environ.get("ERRORS"):
    # Before the app is loaded, which may fail.
    importlib.import_module("appmetrics.errors").start()

_own = importlib.import_module(os.environ["METRICS_SETTINGS"])
globals().update({name: value for name, value in vars(_own).items() if name.isupper()})

if os.environ.get("METRICS"):
    MIDDLEWARE = ["appmetrics.middleware.measured", *getattr(_own, "MIDDLEWARE", ())]
    if os.environ.get("APP_CELERY"):
        importlib.import_module("appmetrics.sent")
if os.environ.get("TRACES"):
    INSTALLED_APPS = [*getattr(_own, "INSTALLED_APPS", ()), "appmetrics.traces.Traces"]
