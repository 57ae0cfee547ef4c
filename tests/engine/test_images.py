"""Tags in a real registry: of deploys, of branches with the same slug, and of what is no image."""

from __future__ import annotations

import time

import pytest

from tasks.lib.images import contents, deployed, promotion, refs
from tests.orchestrators.world import push
from tests.testbed.commands import docker, git
from tests.testbed.registries import client, serve
from tests.unit.images.test_contents import leave

pytestmark = pytest.mark.engine

REVISION = "a" * 40


def test_the_tag_of_a_deploy_keeps_its_image_and_goes_alone(repository):
    registry, digests = repository.registry, []
    for number in range(4):
        repository.commit(f"number {number}")
        digests.append(repository.build())
        promotion.mark_tested(registry, digests[-1])
    repository.must("release", "--env=prod", f"--ref={digests[0]}")
    for number in (17, 18):
        deployed.remember(registry, "prod", number, digests[0])
    deployed.remember(registry, "review-x", 1, digests[1])
    lines = repository.must("images").splitlines()
    assert " yes     prod prod#17 prod#18" in lines[4]
    assert " review-x#1" in lines[3]

    repository.must("images.prune", "--keep", "1", "--yes")
    assert [bool(registry.digest(each)) for each in digests] == [True, True, False, True]

    before = set(registry.tags())
    deployed.forget(registry, "prod", [17])
    deployed.forget_all(registry, "review-x")
    assert before - set(registry.tags()) == {"deployed-prod-17", "deployed-review-x-1"}
    names = (digests[0], "prod", "deployed-prod-18")
    assert {registry.digest(name) for name in names} == {digests[0]}
    assert promotion.is_tested(registry, refs.resolve(registry, digests[1]))
    repository.must("images.prune", "--keep", "1", "--yes")
    assert [bool(registry.digest(each)) for each in digests] == [True, False, False, True]


def test_where_nothing_can_be_deleted_the_tags_stay_but_not_on_the_image(capfd):
    with serve("--env=REGISTRY_STORAGE_DELETE_ENABLED=false") as server:
        registry = client(f"{server.host}/app")
        made = push(registry, REVISION)
        deployed.remember(registry, "prod", 1, made.digest)
        deployed.forget(registry, "prod", [1])
        shown = capfd.readouterr().err
        assert "warning: unused tags stay in the registry: deployed-prod-1 (" in shown
        assert "405 to DELETE" in shown and "enable deletion in the registry" in shown
        assert registry.digest("deployed-prod-1") != registry.digest(REVISION) == made.digest
        assert [image.tags for image in contents.read(registry)] == [(REVISION,)]
        assert not capfd.readouterr().err


def test_branches_with_the_same_slug_do_not_take_each_others_image(repository):
    registry = repository.registry
    git(repository.root, "checkout", "-b", "fix/login")
    slash = repository.build()
    git(repository.root, "checkout", "-b", "fix.login")
    dot = repository.commit("another branch")
    done = repository.inv("build", "--push")
    assert done.returncode == 0
    assert "warning: no tag fix-login: it belongs to fix/login - to deploy this" in done.stderr
    assert registry.digest("fix-login") == slash != registry.digest(dot)
    for ref, digest in (("fix/login", slash), ("fix.login", registry.digest(dot))):
        promotion.mark_tested(registry, digest)
        assert repository.must("release", "--env=staging", f"--ref={ref}").endswith(digest)
    # One whose very name it is has it from then on.
    git(repository.root, "checkout", "-b", "fix-login")
    repository.commit("a third branch")
    own = repository.build()
    assert registry.digest("fix-login") == own
    git(repository.root, "checkout", "main")
    git(repository.root, "branch", "-D", "fix/login")
    refused = repository.inv("release", "--env=staging", "--ref=fix/login")
    assert refused.returncode == 2
    assert "the tag fix-login is the image of branch fix-login" in refused.stderr


def test_what_is_no_image_or_damaged_is_named_in_one_line(repository, server):
    registry = repository.registry
    digest = repository.build()
    leave(registry)
    for number, harm in enumerate(("printf { >", ": >", "rm ")):
        broken = push(registry, str(number) * 40)
        name = broken.digest.removeprefix("sha256:")
        path = f"/var/lib/registry/docker/registry/v2/blobs/sha256/{name[:2]}/{name}/data"
        docker("exec", server.container, "sh", "-c", f"{harm}{path}")
    begun = time.monotonic()
    done = repository.inv("images")
    # 3 s on a machine at rest.
    assert time.monotonic() - begun < 9
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == [digest[7:19]]
    (line,) = [line for line in done.stderr.splitlines() if "warning" in line]
    assert line.startswith(f"warning: no image, or damaged in the registry: {'0' * 40}, ")
    refused = repository.inv("release", "--env=staging", "--ref=buildcache")
    assert refused.returncode == 2
    assert "is no image - inv images" in refused.stderr.replace("./inv", "inv")
    repository.must("images.prune", "--keep", "0", "--yes")
    assert "artifact" in registry.tags()
