"""After a deploy the servers have the images that some deploy remembers, and no others of ours."""

from __future__ import annotations

import json

from tasks.lib.errors import TaskError


def pulled(world) -> set[str]:
    """The digests of our images on the servers."""
    repository = world.target.registry.image.name
    names = (each.partition("@") for each in world.target.orchestrator.inner.cluster.pulled)
    return {digest for name, _, digest in names if name == repository}


def test_images_that_no_deploy_remembers_are_deleted(world):
    images = [world.image() for _ in range(6)]
    for image in images:
        world.deploy(image)
    remembered = {record.digest for record in world.records()}
    assert pulled(world) == remembered
    assert images[0].manifest.digest not in remembered


def test_images_of_another_environment_stay(world):
    first, rest = world.image(), [world.image() for _ in range(4)]
    world.deploy(first)
    name = str(world.target.registry.image.at(first.manifest.digest))
    text = json.dumps({"image": name, "state": "succeeded"})
    other = f"{world.target.settings.deploy.path}/staging/releases/1"
    world.host.run('mkdir -p "$1"; cat >"$1/release.json"', other, text=text[:-4])
    for image in rest:
        world.deploy(image)
    assert first.manifest.digest in pulled(world)


def test_images_of_other_projects_stay(world):
    other = "registry.example.com/other@sha256:" + "a" * 64
    world.target.orchestrator.inner.cluster.pulled.add(other)
    world.deploy(world.image())
    assert other in world.target.orchestrator.inner.cluster.pulled


def test_a_failure_is_a_warning(world, capfd):
    def fail() -> None:
        raise TaskError("the disk is read-only")

    image = world.image()
    world.orchestrator.before["tidy_images"] = fail
    world.deploy(image)
    assert world.serves() == image.revision
    assert "warning: old releases could not be removed: the disk is" in capfd.readouterr().err
    assert world.records()[0].state == "succeeded"
