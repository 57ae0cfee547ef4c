"""Measure what this repository does side by side with plain tools: time, size, bytes moved.

Prints a table, and keeps it in bench/README.md and bench/results.json. The status is 1 when a
target is not held. All but the first four need a Docker engine that answers; `cluster` builds the
lab's Kubernetes and Helm once, or takes them from ~/.cache.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable

from bench import (
    cluster,
    data,
    deploy,
    host,
    image,
    metrics,
    monitoring,
    onehost,
    pipeline,
    publish,
    records,
    reloading,
    table,
)
from tests.testbed.scratch import Scratch, scratch

MEASURES: dict[str, Callable[[Scratch], list[table.Row]]] = {
    "startup": host.startup,
    "suite": host.suite,
    "metrics": metrics.measure,
    "monitoring": monitoring.measure,
    "reload": reloading.measure,
    "image": image.measure,
    "publish": publish.measure,
    "data": data.measure,
    "deploy": deploy.measure,
    "onehost": onehost.measure,
    "cluster": cluster.measure,
    "pipeline": pipeline.measure,
    "growth": deploy.grow,
    "records": records.measure,
}


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    known, parser = ", ".join(MEASURES), argparse.ArgumentParser("bench/run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"only these of {known}")
    what = "delete the engine's whole build cache at the end"
    parser.add_argument("--prune", action="store_true", help=what)
    what = f"megabytes of the database of data; the figures are kept only of {data.SIZE}"
    parser.add_argument("--size", type=int, default=data.SIZE, metavar="MB", help=what)
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(MEASURES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {known}")
    return asked


def measure(names: list[str], clone: Scratch, size: int) -> list[table.Row]:
    """Take the measures that are asked for; each is kept once it is taken.

    Args:
        size: megabytes of the database of `data`, which is kept only if that is its own.
    """
    rows: list[table.Row] = []
    for name in names or MEASURES:
        print(f"bench: {name} ...", file=sys.stderr, flush=True)
        taken = data.measure(clone, size) if name == "data" else MEASURES[name](clone)
        rows += taken
        if name != "data" or size == data.SIZE:
            table.keep(name, taken, list(MEASURES))
        print(*(f"  {' | '.join(row.cells())}" for row in taken), sep="\n", file=sys.stderr)
    return rows


def interrupted(*_: object) -> None:
    """End by `kill` as by Ctrl-C; a second one does not stop the removal of what was started."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """Measure, print and keep; the exit status."""
    asked = arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    try:
        with scratch("bench", asked.prune) as clone:
            rows = measure(asked.names, clone, asked.size)
    except KeyboardInterrupt:
        print("\nbench: interrupted; what it started is gone", file=sys.stderr)
        return 130
    except (AssertionError, RuntimeError, TimeoutError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(table.markdown(rows))
    return 0 if all(row.held for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
