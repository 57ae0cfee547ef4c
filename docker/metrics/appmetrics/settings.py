"""The app's own settings, and the middleware that counts requests above all others.

DJANGO_SETTINGS_MODULE names this module, and METRICS_SETTINGS the app's: so any app is measured,
with any server, and without a line in its own settings.
"""

import importlib
import os

from prometheus_client import values

from . import slots

# Before anything is counted, also by the app itself.
values.ValueClass = values.MultiProcessValue(slots.slot)

_own = importlib.import_module(os.environ["METRICS_SETTINGS"])
globals().update({name: value for name, value in vars(_own).items() if name.isupper()})
MIDDLEWARE = ["appmetrics.middleware.measured", *getattr(_own, "MIDDLEWARE", ())]

if os.environ.get("APP_CELERY"):
    importlib.import_module("appmetrics.sent")
