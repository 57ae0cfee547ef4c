"""A replica of a service: its variables, and when it started, was healthy and ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Replica:
    """A service's container, as docker inspects it."""

    facts: dict[str, Any]

    @property
    def env(self) -> dict[str, str]:
        """Its variables."""
        return dict(line.split("=", 1) for line in self.facts["Config"]["Env"])

    @property
    def began(self) -> float:
        """When it started."""
        return moment(self.facts["State"]["StartedAt"])

    @property
    def ended(self) -> float:
        """When it ended."""
        return moment(self.facts["State"]["FinishedAt"])

    @property
    def healthy(self) -> float:
        """When the first check that docker remembers found it healthy; 0 for never."""
        checks = self.facts["State"]["Health"]["Log"]
        return next((moment(each["End"]) for each in checks if not each["ExitCode"]), 0)


def moment(text: str) -> float:
    """A time that docker tells, in seconds."""
    return datetime.fromisoformat(text).timestamp()
