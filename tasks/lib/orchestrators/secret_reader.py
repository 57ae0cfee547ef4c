"""Values of secrets, as a shell script prints them in a container that has them."""

from __future__ import annotations

from base64 import b64decode

FOLDER = "/run/secrets"
SHOW = f'cd {FOLDER}; for each in *; do echo "$each $(base64 "$each" | tr -d "\\n")"; done'


def values(shown: str) -> dict[str, str]:
    """Return the values of secrets by their names, from what SHOW printed."""
    lines = (line.partition(" ") for line in shown.splitlines())
    return {key: b64decode(text).decode() for key, _, text in lines}
