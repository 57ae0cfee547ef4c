"""What the Compose files promise of each container is so in what runs."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import yaml

from tasks.lib.deploys import processes
from tasks.lib.orchestrators import rendering
from tasks.lib.project.settings import Settings
from tests.testbed.commands import ROOT, docker
from tests.testbed.sites import Site

pytestmark = pytest.mark.engine
# What server.yml must be filled in with; the values do not matter here.
NAMES = ("IMAGE", "STACK", "SITE_URL", "SITE_ADDRESS", "JOB_SECONDS")
FILLED = {**dict.fromkeys(NAMES, "x"), "JOB_GRACE": "1s"}
# The users that the processes of the images run as; the proxy's is root, without its rights.
USERS = {"app": 10001, "worker": 10001, "beat": 10001, "db": 999, "redis": 999, "proxy": 0}


@pytest.fixture(scope="module")
def promised() -> dict[str, Any]:
    """The services of the Compose files, with what invoke.yaml adds to them."""
    files = ["-f", ROOT / "compose/base.yml", "-f", ROOT / "compose/server.yml"]
    shown = docker("compose", *files, "config", "--format=json", env=FILLED)
    known = yaml.safe_load((ROOT / "invoke.yaml").read_text())
    del known["tasks"]
    settings = msgspec.convert(known, Settings)
    return dict(processes.applied(json.loads(shown), settings, FILLED)["services"])


def containers(site: Site, service: str) -> list[tuple[str, dict[str, Any]]]:
    """The containers of a service, each with its server."""
    chosen = f"label=com.docker.swarm.service.name={site.stack}_{service}"
    script = f"docker ps -q -f {chosen} | xargs -r docker inspect"
    return [
        (node, facts) for node in site.nodes for facts in json.loads(site.on(node, script) or "[]")
    ]


@pytest.mark.parametrize("service", USERS)
def test_a_container_has_the_limits_and_rights_that_its_service_says(site, promised, service):
    said = promised[service]
    limits = said["deploy"]["resources"]["limits"]
    found = containers(site, service)
    assert found
    for _, facts in found:
        runs = facts["HostConfig"]
        assert runs["ReadonlyRootfs"] == said.get("read_only", False)
        for key, mine in (("cap_add", "CapAdd"), ("cap_drop", "CapDrop")):
            assert {*map(plain, runs[mine] or [])} == {*said.get(key, [])}
        assert (runs["Memory"], runs["PidsLimit"]) == (int(limits["memory"]), limits["pids"])
        mounts = [mount for mount in rendering.mounts(said) if mount["type"] == "tmpfs"]
        sizes = {mount["target"]: mount["tmpfs"]["size"] for mount in mounts}
        assert sizes == {
            mount["Target"]: mount["TmpfsOptions"]["SizeBytes"]
            for mount in runs["Mounts"] or []
            if mount["Type"] == "tmpfs"
        }


@pytest.mark.parametrize("service", USERS)
def test_only_the_user_of_a_container_can_read_its_secrets(site, promised, service):
    script = "stat -Lc '%u %a %n' /run/secrets/* 2>/dev/null; stat -c %u /proc/[0-9]*"
    for node, facts in containers(site, service):
        lines = site.on(node, f"docker exec -u 0 {facts['Id']} sh -c {script!r}").splitlines()
        secrets = [line.split() for line in lines if "/run/secrets/" in line]
        wanted = [
            {"uid": use["uid"], "mode": "400"} for use in promised[service].get("secrets", [])
        ]
        assert [{"uid": uid, "mode": mode} for uid, mode, _ in secrets] == wanted
        assert {use["uid"] for use in wanted} <= {str(USERS[service])}
        # The commands of this test are root's own.
        assert str(USERS[service]) in lines


def test_no_program_of_the_app_gives_privileges(site):
    (node, facts), *_ = containers(site, "app")
    find = "find / -xdev -type f -perm /6000"
    assert site.on(node, f"docker exec -u 0 {facts['Id']} {find} 2>/dev/null || true") == ""


def plain(capability: str) -> str:
    """A capability without the prefix that Swarm gives it."""
    return capability.removeprefix("CAP_")
