"""What tests of trouble share: images to deploy meanwhile, and ways to break in."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from .support import Run, Site

# A migration that takes its time, and says when it has begun.
SLOWLY = """
import time
from django.db import migrations


def wait(apps, schema_editor):
    print("waiting", flush=True)
    time.sleep(12)


class Migration(migrations.Migration):
    dependencies = [("myapp", "{newest}")]
    operations = [migrations.RunPython(wait, migrations.RunPython.noop)]
"""
_built: dict[tuple[Path, str], str] = {}


def another(site: Site) -> str:
    """The commit of another image that works; built once."""
    return _build(site, "another", {})


def slow(site: Site) -> str:
    """The commit of an image whose migration says "waiting", and waits; built once."""
    newest = max(file.stem for file in (site.root / "myapp/migrations").glob("0*.py"))
    return _build(site, "slow", {"=myapp/migrations/9001_slow.py": SLOWLY.format(newest=newest)})


def _build(site: Site, what: str, files: dict[str, str]) -> str:
    key = (site.root, what)
    if key not in _built:
        _built[key] = site.build(what, files)
    return _built[key]


def interrupt(run: Run) -> None:
    """Ctrl-C in a terminal: a task and all its children get it."""
    pids = [run.process.pid]
    for pid in pids:
        children = Path(f"/proc/{pid}/task/{pid}/children")
        pids += [int(each) for each in children.read_text().split()] if children.exists() else []
    for pid in pids:
        try:
            os.kill(pid, signal.SIGINT)
        except ProcessLookupError:
            continue


def cut(site: Site, node: str = "node1") -> None:
    """End all that a server's user runs there: its SSH sessions, and what they carry."""
    site.on(node, "pkill -KILL -u deploy || true")


def logins(site: Site) -> int:
    """How many SSH connections the servers have let in."""
    count = "grep -c '^Accepted publickey' /var/log/sshd.log || true"
    return sum(int(site.on(node, count)) for node in site.nodes)


def forget_slow(site: Site) -> None:
    """Let the database know nothing of the slow migration."""
    site.sql("DELETE FROM django_migrations WHERE name = '9001_slow';")
