"""The project's settings, as invoke.yaml has them without any override."""

from __future__ import annotations

import msgspec
import yaml

from tasks.lib.project.settings import INVOKE, Settings
from tests.testbed.commands import ROOT

_known = yaml.safe_load((ROOT / "invoke.yaml").read_text("utf-8"))
SETTINGS = msgspec.convert({key: v for key, v in _known.items() if key not in INVOKE}, Settings)
APP = SETTINGS.app
# What `docker build` needs to know of the app.
ARGUMENTS = [f"--build-arg={name}={value}" for name, value in APP.variables().items()]
