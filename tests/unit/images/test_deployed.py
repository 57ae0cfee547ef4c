"""Tags of deploys: removed, they take no image along."""

from __future__ import annotations

import pytest

from tasks.lib.images import deployed, listing
from tasks.lib.images.listing import Stored
from tests.orchestrators.servers import Store
from tests.orchestrators.world import push

REVISION = "a" * 40


def test_a_tag_is_removed_and_the_image_with_its_other_tags_stays(images):
    made = push(images, REVISION)
    for number in (8, 9, 10):
        deployed.remember(images, "prod", number, made.digest)
    deployed.remember(images, "prod-x", 8, made.digest)
    deployed.forget(images, "prod", [7, 8])
    known = {REVISION, "deployed-prod-9", "deployed-prod-10", "deployed-prod-x-8"}
    assert set(images.tags()) == known
    deployed.forget_all(images, "prod")
    assert set(images.tags()) == {REVISION, "deployed-prod-x-8"}
    assert images.digest(REVISION) == images.digest("deployed-prod-x-8") == made.digest


def test_what_is_tagged_is_not_tagged_again(images, store):
    made = push(images, REVISION)
    deployed.remember(images, "prod", 1, made.digest)
    store.asked.clear()
    deployed.remember(images, "prod", 1, made.digest)
    assert [request.partition(" ")[0] for request in store.asked] == ["HEAD"]


def test_a_registry_that_deletes_nothing_is_a_warning_and_the_image_is_free(
    images, store: type[Store], monkeypatch: pytest.MonkeyPatch, capfd
):
    made = push(images, REVISION)
    deployed.remember(images, "prod", 1, made.digest)
    monkeypatch.setattr(store, "do_DELETE", lambda self: self.answer(405, b"{}"))
    deployed.forget(images, "prod", [1])
    shown = capfd.readouterr().err
    assert "warning: unused tags stay in the registry: deployed-prod-1 (" in shown
    assert "enable deletion in the registry" in shown
    assert images.digest("deployed-prod-1") != images.digest(REVISION) == made.digest


def test_an_image_that_is_gone_is_a_warning(images, capfd):
    deployed.remember(images, "prod", 1, f"sha256:{'0' * 64}")
    assert "warning: no tag deployed-prod-1, so images.prune may" in capfd.readouterr().err


@pytest.mark.parametrize("environment", ["prod", "review-my-branch", "gone"])
def test_a_deploy_of_any_environment_keeps_its_image_and_is_shown(environment):
    names = (REVISION, f"deployed-{environment}-10", f"deployed-{environment}-9", "prod")
    image = Stored("sha256:1", names, REVISION, "main", "", 1)
    assert listing.prunable([image], 0, ["prod"]) == []
    shown = listing.report([image], ["prod"]).text()
    assert shown.endswith(f"  prod {environment}#9 {environment}#10")
