"""Secrets that stand in files, by detect-secrets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detect_secrets.core.potential_secret import PotentialSecret

# Detectors that are off in tests, where passwords and hashes are made up: what follows the word
# password, and what is hexadecimal. A token is found there too, by its form or as it looks random.
GUESSING = ("BasicAuthDetector", "HexHighEntropyString", "KeywordDetector")
# Texts may speak of passwords.
TALKING = ("KeywordDetector",)
PROSE = {".md", ".rst", ".txt"}
# A public address is not a secret.
UNUSED = ("IPPublicDetector",)
# What stands for a password in an example, and the length that a password has at least.
PLACEHOLDER = "(?i)^(password|secret|changeme|x+)$"
SHORTEST = 6
EXCLUDE = "detect_secrets.filters.regex.should_exclude_secret"
# Would pass every line that calls something, also with a token as the argument.
CALLS = "detect_secrets.filters.heuristic.is_indirect_reference"


@dataclass(frozen=True)
class Leak:
    """A secret in a file; what it is, not itself."""

    path: str
    line: int
    kind: str


def find(files: Iterable[Path]) -> list[Leak]:
    """The secrets in files. A line that says `pragma: allowlist secret` in a comment is passed.

    Nothing is asked of the services that a secret could belong to.
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
    leaks = {Leak(name, each.line_number, each.type) for name, each in found if not _short(each)}
    return sorted(leaks, key=lambda each: (each.path, each.line, each.kind))


def _off(path: Path) -> tuple[str, ...]:
    """The detectors that are off for a file."""
    return UNUSED + (GUESSING if is_test(path) else TALKING if path.suffix in PROSE else ())


def _short(secret: PotentialSecret) -> bool:
    """Whether it follows the word password and is none; what another detector finds is a part."""
    return secret.type == "Secret Keyword" and len(secret.secret_value or "") < SHORTEST


def is_test(path: Path) -> bool:
    """Whether a file belongs to tests, by its name or its folder's."""
    names = {"test.py", "tests.py", "conftest.py"}
    return "tests" in path.parts or path.name in names or path.name.startswith("test_")
