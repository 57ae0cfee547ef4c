"""One message about an environment."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..redaction import redact

BEGUN, DONE, UNDONE, FAILED, PROBLEM = "begun", "done", "undone", "failed", "problem"
# The length of a commit in a text.
SHORT = 8


def now() -> str:
    """Return the time, in UTC (ISO 8601)."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Message:
    """What happened to an environment.

    Args:
        event: begun, done, undone, failed, or a problem that was found.
        kind: deploy or rollback; status for a problem.
        by: who did it.
        why: why it failed or was forced, or what the problem is; secrets in it are masked.
        seconds: how long it took.
    """

    event: str
    kind: str
    environment: str
    url: str
    release: int = 0
    image: str = ""
    commit: str = ""
    by: str = ""
    why: str = ""
    seconds: int = 0
    at: str = field(default_factory=now)

    def text(self) -> str:
        """Return it in words, without a line break."""
        return " ".join(redact(f"{self.environment}: {self._said()}").split())

    def _said(self) -> str:
        release = f"release {self.release}"
        release += f" ({self.commit[:SHORT]})" if self.commit else ""
        if self.event == PROBLEM:
            return self.why
        if self.event == BEGUN:
            return f"{self.kind} of {release} by {self.by} begins"
        if self.event == DONE:
            return f"{release} runs, {self.kind} by {self.by}, {self.seconds} s: {self.url}"
        how = "failed and was undone" if self.event == UNDONE else "failed"
        return f"{self.kind} of {release} by {self.by} {how}: {self.why}"

    def document(self) -> dict[str, Any]:
        """Return it for machines: its type, its time, and its data with the text."""
        data = asdict(self) | {"why": redact(self.why), "text": self.text()}
        return {"type": f"{self.kind}.{self.event}", "timestamp": data.pop("at"), "data": data}
