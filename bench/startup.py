"""How long `inv --list` takes, against Invoke with a one-task file."""

from __future__ import annotations

from scratch import Scratch
from sides import alternate
from table import Row

ROUNDS = 15
BARE = '''from invoke import task


@task
def hello(ctx):
    """Say hello."""
'''


def measure(scratch: Scratch) -> list[Row]:
    """Our launcher, settings and tasks against none of them."""
    bare = scratch.folder / "bare"
    bare.mkdir()
    (bare / "tasks.py").write_text(BARE)
    ours, theirs = alternate(
        lambda: scratch.seconds("./inv", "--list"),
        lambda: scratch.seconds(scratch.bin / "invoke", "--list", cwd=bare),
        ROUNDS,
    )
    return [Row("`./inv --list` / `invoke --list` of one task", ours, theirs, 1.3)]
