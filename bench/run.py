#!/usr/bin/env python
"""Measure what this repository does side by side with plain tools: time, size, bytes moved.

Prints a table, and keeps it in bench/README.md and bench/results.json. The status is 1 when a
target is not held. All but the first two need a Docker engine that answers.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable

import deploy
import image
import pipeline
import publish
import reloading
import startup
import suite
import table
from scratch import Scratch

MEASURES: dict[str, Callable[[Scratch], list[table.Row]]] = {
    "startup": startup.measure,
    "suite": suite.measure,
    "reload": reloading.measure,
    "image": image.measure,
    "publish": publish.measure,
    "deploy": deploy.measure,
    "pipeline": pipeline.measure,
    "growth": deploy.grow,
}


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"only these of {', '.join(MEASURES)}"
    )
    parser.add_argument(
        "--prune", action="store_true", help="delete the engine's whole build cache at the end"
    )
    asked = parser.parse_args()
    unknown = set(asked.names) - set(MEASURES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(MEASURES)}")
    return asked


def measure(names: list[str], prune: bool) -> list[table.Row]:
    """Take the measures that are asked for, on a copy of the work tree that is gone afterwards.

    Each is kept once it is taken: an interrupted run loses only what it had not measured yet.
    """
    rows: list[table.Row] = []
    with Scratch(prune) as scratch:
        for name in names or MEASURES:
            print(f"bench: {name} ...", file=sys.stderr, flush=True)
            taken = MEASURES[name](scratch)
            rows += taken
            table.keep(name, taken, list(MEASURES))
            print(*(f"  {row}" for row in taken), sep="\n", file=sys.stderr, flush=True)
    return rows


def main() -> int:
    """Measure, print and keep; the exit status."""
    asked = arguments()
    # An end by `kill` cleans up as Ctrl-C does, which a shell's background job would ignore.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        rows = measure(asked.names, asked.prune)
    except KeyboardInterrupt:
        print("\nbench: interrupted; what it started is gone", file=sys.stderr)
        return 130
    except RuntimeError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(table.markdown(rows))
    return 0 if all(row.held for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
