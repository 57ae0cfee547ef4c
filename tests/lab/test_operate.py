"""What an environment needs around its deploys: hooks, set-up, one-off commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .support import Site, until
from .trouble import another

pytestmark = [pytest.mark.engine, pytest.mark.slow]
FACTS = '#!/bin/sh\nenv | grep ^DEPLOY_ >"{file}"\n{more}\n'


@pytest.fixture
def hook(site: Site, tmp_path: Path) -> Iterator:
    """Makes a hook that writes its facts to a file; returns the file."""
    folder = site.root / "hooks"

    def make(name: str, more: str = "") -> Path:
        file = tmp_path / name
        site.write(f"hooks/{name}", FACTS.format(file=file, more=more))
        (folder / name).chmod(0o755)
        return file

    yield make
    for each in folder.glob("*"):
        each.unlink()
    folder.rmdir()


def facts(file: Path) -> dict[str, str]:
    """What a hook was told."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


@pytest.mark.fault("hooks/pre-deploy says no")
def test_a_hook_refuses_a_deploy(site, fault, hook):
    told = hook("pre-deploy", "echo 'not on a Friday'; exit 3")
    history = site.history()
    done = site.inv("deploy", f"--ref={another(site)}")
    fault(done, status=2, serves=site.good)
    assert "not on a Friday" in done.text
    assert "inv: hooks/pre-deploy ended with 3 - " in done.verdict
    assert facts(told)["DEPLOY_COMMIT"] == another(site)
    assert site.history() == history


def test_servers_are_set_up_once_and_one_that_left_the_swarm_joins_it_again(site):
    assert f"{site.env}: ready, nothing to do" in site.must("server.setup").text
    site.on("node3", "docker swarm leave --force")
    done = site.must("server.setup")
    assert "had left; its former place is taken away" in done.text
    assert "joined as manager" in done.text
    form = "{{.Hostname}} {{.Status}} {{.ManagerStatus}}"
    nodes = site.on("node2", f"docker node ls --format '{form}'")
    assert sorted(line.split()[:2] for line in nodes.splitlines()) == [
        ["node1", "Ready"],
        ["node2", "Ready"],
        ["node3", "Ready"],
    ]
    assert f"{site.env}: ready, nothing to do" in site.must("server.setup").text
    # What ran there is elsewhere now.
    until(lambda: site.inv("status").status == 0, 90)


def test_a_command_is_run_with_the_image_that_serves(site):
    done = site.must("manage", "shell -c \"import os; print('pid is', os.getpid())\"")
    assert "pid is " in done.text
    failed = site.inv("manage", "no-such-command")
    assert failed.status == 1
    assert "Unknown command: 'no-such-command'" in failed.text
    assert site.lock == ""
    assert f"{site.stack}-manage" not in site.on("node1", "docker service ls")
