#!/usr/bin/env python
"""Writes the JSON schema of invoke.yaml, for editors: python docs/schema.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "docs/invoke.schema.json"
sys.path.insert(0, str(ROOT))

from tasks.lib.project.settings import INVOKE, Settings  # noqa: E402


def schema() -> dict[str, Any]:
    """The schema of all settings; Invoke's own keys may be beside them."""
    whole = msgspec.json.schema(Settings)
    whole["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    whole["$defs"]["Settings"]["properties"] |= {key: {"type": "object"} for key in sorted(INVOKE)}
    return whole


def text() -> str:
    """What the file has to be."""
    return json.dumps(schema(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
