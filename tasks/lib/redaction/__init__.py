"""No secret reaches an output: each value that is known to be one is masked in what is printed."""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

# The variables whose values are secrets; the project's settings add the names of its own.
NAMES = re.compile(r"(PASSWORD|PASSWD|PASSPHRASE|TOKEN|SECRET|KEY|DSN|_AUTH_CONFIG|DATABASE_URL)$")
OWN: set[str] = set()
# A shorter value is no secret worth the name, and would mask parts of words.
LEAST = 6
# How much of a value that was cut short is masked.
BEGINNING = 16
_known: dict[str, str] = {}


def know(name: str, value: str) -> str:
    """Mask a value from now on as [name]; return it."""
    _known[value] = name
    return value


def redact(text: str, env: Mapping[str, str] = os.environ) -> str:
    """Return a text in which each secret is masked, however it is encoded."""
    named = {value: name for name, value in env.items() if name in OWN or NAMES.search(name)}
    found = {form: name for value, name in (named | _known).items() for form in forms(value)}
    long = [form for form in sorted(found, key=len, reverse=True) if len(form) >= LEAST]
    for form in long:
        text = text.replace(form, f"[{found[form]}]")
    for form in long:
        if cut := _beginning(form, text):
            text = text.replace(cut, f"[{found[form]}]")
    return text


def _beginning(form: str, text: str) -> str:
    """Return how much of a secret's beginning is in a text; empty if that is next to nothing."""
    if form.startswith("-----") or form[:BEGINNING] not in text or len(form) < BEGINNING:
        return ""
    return next(form[:end] for end in range(len(form), 0, -1) if form[:end] in text)


@lru_cache
def forms(value: str, user: str = "") -> frozenset[str]:
    """Return what reveals a secret, or the file that it names: text and lines, also encoded."""
    texts = {*(_contents(value) or [value]), f"{user}:{value}" if user else ""}
    texts |= {text.strip() for text in texts}
    found = {line.strip() for text in texts for line in text.splitlines() if line[:5] != "-----"}
    for text in texts:
        plain = (text, repr(text)[1:-1], json.dumps(text)[1:-1], " ".join(text.split()))
        found |= {*plain, quote(text, safe=""), b64encode(text.encode()).decode()}
    return frozenset(filter(None, found))


def _contents(value: str) -> list[str]:
    """Return the text of the file that a variable names, and the logins of a docker config."""
    if "\n" not in value and os.path.isfile(value):
        try:
            return [Path(value).read_text("utf-8", "replace")[:65536]]
        except OSError:
            return []
    return [value, *re.findall(r'"(?:auth|identitytoken|password)"\s*:\s*"([^"]+)"', value)]
