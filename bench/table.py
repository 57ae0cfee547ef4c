"""The figures: both sides in turns, one row a measure, kept in README.md and results.json."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from platform import python_version
from statistics import median

README, RESULTS = (Path(__file__).with_name(name) for name in ("README.md", "results.json"))
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"


def alternate(
    ours: Callable[[], float], theirs: Callable[[], float], rounds: int, warm: bool = True
) -> tuple[float, float]:
    """Both sides' medians, taken in turns: a busy machine is busy for both.

    Args:
        warm: take each side once before, uncounted: files are in memory, databases made.
    """
    if warm:
        ours(), theirs()
    pairs: list[tuple[Callable[[], float], list[float]]] = [(ours, []), (theirs, [])]
    for turn in range(rounds):
        for take, kept in pairs if turn % 2 == 0 else reversed(pairs):
            kept.append(take())
    return median(pairs[0][1]), median(pairs[1][1])


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
    theirs: float | None = None
    limit: float | None = None
    unit: str = "s"
    faster: bool = False
    alone: bool = False
    note: str = ""

    @property
    def ratio(self) -> float:
        """What the limit is for, if that is ours / theirs; else 0."""
        return self.ours / self.theirs if self.theirs and not self.alone else 0

    @property
    def held(self) -> bool:
        """Whether the target is held, if there is one."""
        return self.limit is None or (self.ratio or self.ours) <= self.limit

    def cells(self) -> list[str]:
        """The row as the table shows it."""
        what = f"{self.what} ({self.note})" if self.note else self.what
        sides = ["" if each is None else self._figure(each) for each in (self.ours, self.theirs)]
        ratio, target, held = self._times(self.ratio) if self.ratio else "", "", ""
        if self.limit is not None:
            bound = self._times(self.limit) if self.ratio else self._figure(self.limit)
            target = f"at {'least' if self.faster else 'most'} {bound}"
            held = "yes" if self.held else "**no**"
        return [what, *sides, ratio, target, held]

    def _figure(self, value: float) -> str:
        digits = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
        return f"{digits} {self.unit}".strip()

    def _times(self, ratio: float) -> str:
        return f"{1 / ratio:.3g} x faster" if self.faster else f"{ratio:.2f} x"


def markdown(rows: list[Row]) -> str:
    """The table."""
    heads = ["what", "ours", "theirs", "ratio", "target", "held"]
    lines = [heads, ["---"] * len(heads), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def keep(part: str, rows: list[Row], parts: list[str]) -> None:
    """Write a part's rows into results.json, and a table of each part into README.md.

    The other parts' figures stay, with their own date and machine, in the order of the parts.
    """
    when = f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {python_version()}"
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    kept[part] = {"when": when, "rows": [asdict(row) for row in rows]}
    kept = {name: kept[name] for name in parts if name in kept}
    RESULTS.write_text(json.dumps(kept, indent=2) + "\n")
    tables = [
        f"**{name}**, {each['when']}:\n\n{markdown([Row(**row) for row in each['rows']])}"
        for name, each in kept.items()
    ]
    head, rest = README.read_text().split(BEGIN)
    README.write_text("\n".join([f"{head}{BEGIN}", "\n\n".join(tables), END + rest.split(END)[1]]))
