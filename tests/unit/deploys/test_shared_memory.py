"""How much memory the database's processes may share, in each orchestrator: Docker gives 64 MB."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.lib.deploys import rendering
from tasks.lib.docker.compose import Project
from tasks.lib.orchestrators import kinds
from tasks.lib.orchestrators.compose import rendering as on_host
from tasks.lib.orchestrators.kubernetes import manifests
from tasks.lib.orchestrators.kubernetes import rendering as on_cluster
from tasks.lib.orchestrators.kubernetes.place import Place
from tasks.lib.orchestrators.stack import Stack
from tasks.lib.orchestrators.swarm import rendering as on_swarm
from tests.testbed.commands import ROOT

pytestmark = pytest.mark.engine
FOLDER, ENOUGH = "/dev/shm", 256 << 20
BACKUPS = {"DATA_IMAGE", "BACKUP_USER", "BACKUP_EVERY", "BACKUP_KEEP", "BACKUP_DAYS"}
VERSIONS = pytest.mark.parametrize("version", [(), ("compose/postgres-18.yml",)], ids=["17", "18"])


def config(world: Any, kind: str, *more: str, **values: str) -> tuple[dict[str, Any], str, Any]:
    """What Compose makes of the project's files; with the image, and a version of each secret."""
    image = str(world.target.registry.image.at(world.image().manifest.digest))
    overlay = [kinds.OVERLAYS[kind]] if kind in kinds.OVERLAYS else []
    files = [ROOT / name for name in (*rendering.FILES, *overlay, *more)]
    values = rendering.variables(world.target, image, {}) | values
    made = Project(world.target.ctx, files, "site", values).config()
    return made, image, {name: f"site_{name}_v1" for name in made["secrets"]}


def shared(volumes: list[dict[str, Any]]) -> dict[str, Any]:
    """The mount of the memory that is shared."""
    (found,) = (each for each in volumes if each["target"] == FOLDER)
    return found


@VERSIONS
def test_on_a_swarm(world, version):
    made, image, secrets = config(world, "swarm", *version)
    stack = on_swarm.render(made, "site", image, secrets)
    expected = {"type": "tmpfs", "target": FOLDER, "tmpfs": {"size": ENOUGH}}
    assert shared(stack.services["db"]["volumes"]) == expected


@VERSIONS
def test_on_one_host(world, version):
    made, image, secrets = config(world, "compose", *version)
    stack = on_host.render(made, "site", image, secrets).labelled(1, "there")
    service = on_host.generation(stack, ["db"], "a")["services"]["db-a"]
    assert int(shared(service["volumes"])["tmpfs"]["size"]) == ENOUGH


@VERSIONS
def test_on_a_cluster(world, version):
    made, image, secrets = config(world, "kubernetes", *version)
    stack: Stack = on_cluster.render(made, "site", image, secrets).labelled(1, "there")
    found = manifests.objects(stack, Place("site", "https://site.example.com"))
    (db,) = (each for each in found if each["kind"] == "StatefulSet" and named(each) == "db")
    pod = db["spec"]["template"]["spec"]
    (mount,) = (
        each for each in pod["containers"][0]["volumeMounts"] if each["mountPath"] == FOLDER
    )
    (volume,) = (each for each in pod["volumes"] if each["name"] == mount["name"])
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": str(ENOUGH)}


def named(made: dict[str, Any]) -> str:
    return str(made["metadata"]["name"])


@pytest.mark.parametrize("overlay", ["dev", "test"])
def test_on_this_machine(world, overlay):
    files = [ROOT / f"compose/{name}.yml" for name in ("base", overlay)]
    made = Project(world.target.ctx, files, "site", world.target.settings.app.variables()).config()
    assert int(shared(made["services"]["db"]["volumes"])["tmpfs"]["size"]) == ENOUGH


def test_jobs_that_run_a_server_beside_have_as_much_and_a_value_changes_it(world):
    values = dict.fromkeys(BACKUPS, "1") | {"BACKUP_RECIPIENTS": "age1a", "SHARED_MEMORY": "1g"}
    made, image, secrets = config(world, "swarm", "compose/backup.yml", **values)
    stack = on_swarm.render(made, "site", image, secrets)
    for name in ("db", "backup"):
        assert shared(stack.services[name]["volumes"])["tmpfs"]["size"] == 1 << 30
