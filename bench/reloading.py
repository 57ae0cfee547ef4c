"""How soon a change of the code is served while `inv dev` runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from bench.table import Row
from tests.testbed.commands import free_port, page, until
from tests.testbed.scratch import Scratch

ROUNDS, LIMIT = 5, 2.0
# Longer than this is no reload at all.
PATIENCE = 20.0
TEMPLATE, VIEWS = "myapp/templates/base.html", "myapp/views.py"
# Appended to the views: the page says which change made it.
VIEW = """
_home = home


def home(request):
    response = _home(request)
    response.content += b"{change}"
    return response
"""


def measure(scratch: Scratch) -> list[Row]:
    """A template and a view, with the app on this machine and in Docker."""
    return [row for engine in ("host", "docker") for row in on(engine, scratch)]


def on(engine: str, scratch: Scratch) -> list[Row]:
    """Both kinds of change on one engine."""
    port, here = free_port(), f"--engine={engine}"
    edits = {
        TEMPLATE: lambda text, mark: f"{text}<!-- {mark} -->\n",
        VIEWS: lambda text, mark: text + VIEW.format(change=mark),
    }
    try:
        scratch.run("./inv", "dev", here, f"--port={port}", "--detach")
        taken = {name: served(scratch, port, name, edit) for name, edit in edits.items()}
    finally:
        scratch.run("./inv", "down", here, "--volumes", "--yes")
    return [
        Row(f"a change of {name.rpartition('/')[2]} is served, `inv dev {here}`", max(each),
            limit=LIMIT, note=f"the slowest of {ROUNDS}; median {median(each):.2g} s")
        for name, each in taken.items()
    ]  # fmt: skip


def served(scratch: Scratch, port: int, name: str, edit: Callable[[str, str], str]) -> list[float]:
    """Seconds from writing each of some changes of a file until the page shows it."""
    file, taken = scratch.root / name, []
    text = file.read_text()
    for turn in range(ROUNDS):
        # The server looks once a second: changes come at different moments between two looks.
        time.sleep(1 + turn / ROUNDS)
        mark = f"bench-change-{turn}"
        file.write_text(edit(text, mark))
        began = time.perf_counter()
        until(lambda mark=mark: mark in page(f"http://127.0.0.1:{port}/"), PATIENCE, pause=0.02)
        taken.append(time.perf_counter() - began)
    file.write_text(text)
    return taken
