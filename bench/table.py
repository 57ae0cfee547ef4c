"""The figures: one row a measure, printed, and kept in README.md and results.json."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
README, RESULTS = HERE / "README.md", HERE / "results.json"
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"


@dataclass(frozen=True)
class Row:
    """One measure.

    Attributes:
        ours: our figure, and `theirs` that of plain tools; None when there is nothing to compare.
        limit: the most that ours / theirs may be, or ours alone; None for no target.
        alone: the limit is for ours alone though there is theirs.
        faster: the limit is told as "so many times faster", 1 / limit.
        note: what must be known to read the figures.
    """

    what: str
    ours: float
    theirs: float | None
    limit: float | None = None
    unit: str = "s"
    faster: bool = False
    alone: bool = False
    note: str = ""

    @property
    def relative(self) -> bool:
        """Whether the limit is for ours / theirs."""
        return bool(self.theirs) and not self.alone

    @property
    def value(self) -> float:
        """What the limit is for."""
        return self.ours / self.theirs if self.theirs and self.relative else self.ours

    @property
    def held(self) -> bool:
        """Whether the target is held, if there is one."""
        return self.limit is None or self.value <= self.limit

    @property
    def target(self) -> str:
        """The limit in words."""
        if self.limit is None:
            return ""
        bound = times(self.limit, self.faster) if self.relative else figure(self.limit, self.unit)
        return f"at {'least' if self.faster else 'most'} {bound}"

    def cells(self) -> list[str]:
        """The row as the table shows it."""
        ratio = times(self.value, self.faster) if self.relative else ""
        theirs = "" if self.theirs is None else figure(self.theirs, self.unit)
        what = f"{self.what} ({self.note})" if self.note else self.what
        held = "" if self.limit is None else "yes" if self.held else "**no**"
        return [what, figure(self.ours, self.unit), theirs, ratio, self.target, held]

    def __str__(self) -> str:
        return " | ".join(self.cells())


def figure(value: float, unit: str) -> str:
    """A figure with three digits that count, and its unit."""
    return f"{value:.0f} {unit}".strip() if value >= 100 else f"{value:.3g} {unit}".strip()


def times(ratio: float, faster: bool) -> str:
    """A ratio, or how many times faster it is."""
    return f"{1 / ratio:.3g} x faster" if faster else f"{ratio:.2f} x"


def markdown(rows: list[Row]) -> str:
    """The table."""
    heads = ["what", "ours", "theirs", "ratio", "target", "held"]
    lines = [heads, ["---"] * len(heads), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def machine() -> dict[str, object]:
    """What the figures depend on, and nothing that names the machine."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def keep(part: str, rows: list[Row], parts: list[str]) -> None:
    """Write results.json, and the table into README.md between its marks.

    The other parts' figures stay, with their own date, in the order of the parts.
    """
    now = machine()
    read = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    # What this part measured once and no longer does goes.
    kept = {what: each for what, each in read.items() if each.get("part") != part}
    for row in rows:
        told = {"target": row.target, "value": row.value, "held": row.held}
        kept[row.what] = {"part": part, "row": asdict(row), **told, **now}
    ordered = dict(sorted(kept.items(), key=lambda each: parts.index(each[1]["part"])))
    RESULTS.write_text(json.dumps(ordered, indent=2) + "\n")
    text = README.read_text()
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    README.write_text(f"{head}{BEGIN}\n{section(ordered)}\n{END}{tail}")


def section(kept: dict[str, dict]) -> str:
    """The table of all that is kept, under the date and the machine of each run in it."""
    runs: dict[str, list[Row]] = {}
    for each in kept.values():
        head = f"{each['date']}, {each['cores']} cores, Python {each['python']}:"
        runs.setdefault(head, []).append(Row(**each["row"]))
    return "\n\n".join(f"{head}\n\n{markdown(rows)}" for head, rows in runs.items())
