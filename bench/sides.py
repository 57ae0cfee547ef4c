"""Two ways to do the same, taken in turns, so that a busy machine is busy for both."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

Taken = Callable[[], float]


def alternate(ours: Taken, theirs: Taken, rounds: int, warm: bool = True) -> tuple[float, float]:
    """The medians of both sides after so many rounds; each round begins with the other side.

    Args:
        warm: take each side once before, uncounted: files are in memory, databases made.
    """
    if warm:
        ours(), theirs()
    mine: list[float] = []
    others: list[float] = []
    pairs = [(ours, mine), (theirs, others)]
    for turn in range(rounds):
        for take, kept in pairs if turn % 2 == 0 else reversed(pairs):
            kept.append(take())
    return median(mine), median(others)
