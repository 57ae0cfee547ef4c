"""How soon a change of the code is served while `inv dev` runs."""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from statistics import median

from scratch import Scratch
from table import Row

ROUNDS = 5
LIMIT = 2.0
# Longer than this is no reload at all.
PATIENCE = 20.0
TEMPLATE, VIEWS = "myapp/templates/base.html", "myapp/views.py"
# Appended to the views: the page says which change made it.
VIEW = """

def _changed(view, change):
    def home(request):
        response = view(request)
        response.content += change
        return response

    return home


home = _changed(home, b"{change}")
"""


def measure(scratch: Scratch) -> list[Row]:
    """A template and a view, with the app on this machine and in Docker."""
    return [row for engine in ("host", "docker") for row in on(engine, scratch)]


def on(engine: str, scratch: Scratch) -> list[Row]:
    """Both kinds of change on one engine."""
    port = free_port()
    try:
        scratch.run("./inv", "dev", f"--engine={engine}", f"--port={port}", "--detach")
        return [
            row(engine, scratch, port, TEMPLATE, lambda text, mark: f"{text}<!-- {mark} -->\n"),
            row(engine, scratch, port, VIEWS, lambda text, mark: text + VIEW.format(change=mark)),
        ]
    finally:
        scratch.run("./inv", "down", f"--engine={engine}", "--volumes", "--yes")


def row(
    engine: str, scratch: Scratch, port: int, name: str, edit: Callable[[str, str], str]
) -> Row:
    """How soon some changes of one file are served: the slowest counts, the median is told."""
    file = scratch.tree / name
    text = file.read_text()
    taken = []
    for turn in range(ROUNDS):
        # The server looks once a second: changes come at different moments between two looks.
        time.sleep(1 + turn / ROUNDS)
        taken.append(served(port, file, edit(text, f"bench-change-{turn}"), turn))
    file.write_text(text)
    what = f"a change of {file.name} is served, `inv dev --engine={engine}`"
    note = f"the slowest of {ROUNDS}; median {median(taken):.2g} s"
    return Row(what, max(taken), None, LIMIT, note=note)


def served(port: int, file: Path, text: str, turn: int) -> float:
    """Seconds from writing a file until the page shows it. Raises RuntimeError if it never does."""
    file.write_text(text)
    began = time.perf_counter()
    while time.perf_counter() - began < PATIENCE:
        if f"bench-change-{turn}" in page(port):
            return time.perf_counter() - began
        time.sleep(0.02)
    raise RuntimeError(f"a change of {file.name} is not served within {PATIENCE:.0f} s")


def page(port: int) -> str:
    """The page; empty while the server restarts."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return answer.read().decode()
    except (OSError, urllib.error.URLError):
        return ""


def free_port() -> int:
    """A port on 127.0.0.1 that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
