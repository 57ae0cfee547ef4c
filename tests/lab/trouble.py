"""What tests of trouble share: images to deploy meanwhile, and ways to break in."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.testbed.commands import docker, until
from tests.testbed.oncluster import OnCluster
from tests.testbed.onehost import OneHost
from tests.testbed.runs import Run
from tests.testbed.sites import Site

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
# Stands before docker, and answers what time it is on a server.
SET_CLOCK = r"""#!/bin/sh
case "$*" in
info\ *) {docker} "$@" | sed "s/\(\"SystemTime\":\"\)[^\"]*/\1$(date -ud "{shift}" +%FT%TZ)/" ;;
*) exec {docker} "$@" ;;
esac
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


def interrupt(run: Run, number: int = signal.SIGINT) -> None:
    """Ctrl-C in a terminal, or another signal: all processes of a task's group get it."""
    os.killpg(run.process.pid, number)


def cut(site: Site, node: str = "node1") -> None:
    """End all that a server's user runs there: its SSH sessions, and what they carry."""
    site.on(node, "pkill -KILL -u deploy || true")


@contextmanager
def blocked(site: Site, node: str, chain: str, port: str, how: str = "REJECT") -> Iterator[None]:
    """Let nothing through to a port: of a server's own (INPUT), or from it (OUTPUT).

    Args:
        how: REJECT says so to who calls, DROP lets him wait.
    """
    rule = f"{chain} --protocol tcp --dport {port} --jump {how}"
    site.on(node, f"iptables --insert {rule}")
    try:
        yield
    finally:
        site.on(node, f"iptables --delete {rule}")


@contextmanager
def stopped(site: Site, name: str) -> Iterator[None]:
    """A machine of the lab is gone meanwhile, without a word: node2 and so on, or registry."""
    container = site.nodes["node1"].replace("-node1", f"-{name}")
    docker("kill", container)
    try:
        yield
    finally:
        docker("start", container)


@contextmanager
def stalled(site: Site, node: str) -> Iterator[None]:
    """A server's engine does nothing meanwhile; its containers go on."""
    site.on(node, "pkill -STOP -x dockerd")
    try:
        yield
    finally:
        site.on(node, "pkill -CONT -x dockerd")


def leader(site: Site, ask: str) -> str:
    """The server that leads the managers, as another one says; empty while none does."""
    form = "{{if .ManagerStatus}}{{.Hostname}} {{.ManagerStatus}}{{end}}"
    shown = site.on(ask, f"timeout 5 docker node ls --format '{form}' || true")
    return next((each.split()[0] for each in shown.splitlines() if "Leader" in each), "")


def change_leader(site: Site) -> str:
    """Let another manager lead, and see that the one before knows; returns which one does."""
    old = leader(site, "node1")
    other = next(node for node in site.nodes if node != old)
    with stalled(site, old):
        new = str(until(lambda: (found := leader(site, other)) != old and found, 60))
    until(lambda: leader(site, old) == new, 60)
    return new


def state(site: Site, name: str) -> str:
    """What the Swarm says of a server."""
    return site.on("node1", f"docker node inspect {name} --format '{{{{.Status.State}}}}'")


def settled(site: Site) -> set[str]:
    """The commits that answer when the Swarm, if there is one, has nothing more to do."""
    if isinstance(site, OneHost | OnCluster):
        return site.versions()
    form = "{{with .UpdateStatus}}{{.State}}{{end}}"
    script = f"docker service inspect -f '{form}' $(docker service ls -q -f name={site.stack}_)"
    busy = {"updating", "rollback_started"}
    until(lambda: not busy & set(site.on("node1", script).split()), 120)
    return site.versions()


def clock(folder: Path, shift: str) -> dict[str, str]:
    """The variables of a task that finds the servers' clock set to "+1 minute" or the like."""
    file = folder / "docker"
    file.write_text(SET_CLOCK.format(shift=shift, docker=shutil.which("docker")))
    file.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def elsewhere(site: Site, folder: Path) -> dict[str, str]:
    """The variables of a task with another folder on the servers, and another first server."""
    settings = yaml.safe_load(Path(site.lab["INVOKE_RUNTIME_CONFIG"]).read_text())
    settings["environments"][site.env]["hosts"].reverse()
    settings.setdefault("deploy", {})["path"] = "elsewhere"
    file = folder / "invoke.yaml"
    file.write_text(yaml.safe_dump(settings))
    return {"INVOKE_RUNTIME_CONFIG": str(file)}


def take_lock(site: Site, note: str) -> None:
    """Take the lock, also from its owner, who notices when he renews it."""
    name = f"{site.stack}_lock_9000"
    labels = shlex.join([f"--{site.lease}", f"--label=deploy.lock.text={note}"])
    site.on("node1", f"echo taken | docker config create {labels} {name} -")
    others = f"docker config ls -f {site.lease} --format '{{{{.Name}}}}' | grep -vx {name}"
    # Twice: the owner may renew it meanwhile.
    site.on("node1", f"for each in 1 2; do {others} | xargs -r docker config rm; done")


def forget_slow(site: Site) -> None:
    """Let the database know nothing of the slow migration."""
    site.sql("DELETE FROM django_migrations WHERE name = '9001_slow';")
