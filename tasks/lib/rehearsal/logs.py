"""What the jobs of a rehearsal wrote: searched for secrets, then kept in reports/rehearsal."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from ..project.settings import ROOT

FOLDER = ROOT / "reports/rehearsal"
# What a lab tells that anybody may know.
PUBLIC = {"CI_REGISTRY", "CI_REGISTRY_IMAGE", "CI_REGISTRY_USER", "INVOKE_RUNTIME_CONFIG"} | {
    "SSH_KNOWN_HOSTS"
}


def forms(variables: Mapping[str, str]) -> dict[str, set[str]]:
    """By the name of each secret, what would give it away: its lines, as they are and encoded."""
    found: dict[str, set[str]] = {}
    for name, value in variables.items():
        if name not in PUBLIC:
            lines = {line for line in value.splitlines() if line and not line.startswith("-----")}
            user = variables.get(name.replace("PASSWORD", "USER"), "")
            coded = {_coded(value), _coded(f"{user}:{value}"), quote(value, safe="")}
            found[name] = {each for each in lines | coded if each}
    return found


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def leaked(text: str, secrets: Mapping[str, Iterable[str]]) -> list[str]:
    """The names of the secrets that a text gives away."""
    return [name for name, signs in secrets.items() if any(sign in text for sign in signs)]


def artifacts(clone: Path) -> dict[str, str]:
    """The files that jobs left for others to see, by name."""
    files = [file for file in (clone / "reports").rglob("*") if file.is_file()]
    return {str(file.relative_to(clone)): file.read_text("utf-8", "replace") for file in files}


def keep(
    logs: Mapping[str, str], secrets: Mapping[str, Iterable[str]], folder: Path = FOLDER
) -> None:
    """Write the logs of this rehearsal in the place of the last one's; no secret gets there."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in logs.items():
        for secret, signs in secrets.items():
            for sign in signs:
                text = text.replace(sign, f"[{secret}]")
        file = folder / f"{re.sub(r'[^A-Za-z0-9.]+', '-', name)}.log"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
