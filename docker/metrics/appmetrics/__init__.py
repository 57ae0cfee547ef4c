"""What the app's servers report: metrics, errors, traces. See ../start.sh."""

import os
from pathlib import Path

SECRETS = Path(os.environ.get("SECRETS_DIR") or "/run/secrets")
# The release that runs here: a label of what it counts.
RELEASE = os.environ.get("VERSION") or "dev"
# What stands for a label's value that is not one of a few known ones.
OTHER = "(other)"


def given(name: str) -> str:
    """Return a variable: from the environment, else from the file of the secret with its name."""
    file = SECRETS / name
    return os.environ.get(name) or (file.read_text().strip() if file.is_file() else "")
