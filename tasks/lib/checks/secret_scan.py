"""Secrets in files, found by detect-secrets."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

# Detectors that are off in tests, where passwords and hashes are made up. Tokens are still found
# there, by their form or their entropy.
TESTS = {"test.py", "tests.py", "conftest.py"}
GUESSING = ("BasicAuthDetector", "HexHighEntropyString", "KeywordDetector")
# Prose may mention passwords.
MENTIONING = ("KeywordDetector",)
PROSE = {".md", ".rst", ".txt"}
# A public address is not a secret.
UNUSED = ("IPPublicDetector",)
# Placeholders of passwords in examples, and the length of the shortest password.
PLACEHOLDER = "(?i)^(password|secret|changeme|x+)$"
SHORTEST = 6
EXCLUDE = "detect_secrets.filters.regex.should_exclude_secret"
# This filter ignores every line with a call, even one with a token as its argument.
CALLS = "detect_secrets.filters.heuristic.is_indirect_reference"


@dataclass(frozen=True, order=True)
class Leak:
    """A secret's location and kind, without the secret itself."""

    path: str
    line: int
    kind: str


def find(files: Iterable[Path]) -> list[Leak]:
    """Return the secrets in files, except in lines with the comment `pragma: allowlist secret`.

    No secret is verified with the service it may belong to.
    """
    from detect_secrets import SecretsCollection
    from detect_secrets.settings import default_settings

    found = SecretsCollection()
    for off, paths in groupby(sorted(files, key=_off), _off):
        with default_settings() as settings:
            settings.disable_plugins(*off).disable_filters(CALLS)
            settings.filters[EXCLUDE] = {"pattern": [PLACEHOLDER]}
            for path in paths:
                found.scan_file(str(path))
    # What other detectors report may be a part of a secret, and short.
    return sorted(
        {
            Leak(path, secret.line_number, secret.type)
            for path, secret in found
            if secret.type != "Secret Keyword" or len(secret.secret_value or "") >= SHORTEST
        }
    )


def _off(path: Path) -> tuple[str, ...]:
    if "tests" in path.parts or path.name in TESTS or path.name.startswith("test_"):
        return UNUSED + GUESSING
    return UNUSED + MENTIONING if path.suffix in PROSE else UNUSED
