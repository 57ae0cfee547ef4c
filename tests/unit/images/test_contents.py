"""Which images are read: in a large registry those that matter, and never what is no image."""

from __future__ import annotations

import json

import pytest

from tasks.lib.images import contents, deployed, promotion
from tasks.lib.registry.client import CONFIGS, Manifest
from tasks.lib.registry.session import INDEXES, MANIFESTS
from tests.orchestrators.world import configured, push

OCI = MANIFESTS[0]
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
KINDS = {
    "buildcache": (CACHE := "application/vnd.buildkit.cacheconfig.v0", [LAYER]),
    "sha256-1.sig": (CONFIGS[0], ["application/vnd.dev.cosign.simplesigning.v1+json"]),
    "sha256-1.att": (CONFIGS[0], ["application/vnd.dsse.envelope.v1+json"]),
    "attestation": (CONFIGS[0], ["application/vnd.in-toto+json"]),
    "artifact": (promotion.EMPTY, [promotion.EMPTY]),
    "chart": ("application/vnd.cncf.helm.config.v1+json", [LAYER]),
}


@pytest.fixture
def settings(images):
    return configured(images.image.host, "http://localhost", {})


def put(images, tag: str, kind: str, **body) -> Manifest:
    """Put a manifest under a tag."""
    made = Manifest(json.dumps({"schemaVersion": 2, "mediaType": kind, **body}).encode(), kind)
    images.put(tag, made)
    return made


def leave(images) -> list[str]:
    """Leave what tools leave in registries; returns the tags."""
    blob = {"digest": images.put_blob(b"{}"), "size": 2}
    for tag, (config, layers) in KINDS.items():
        kinds = [{"mediaType": layer, **blob} for layer in layers]
        put(images, tag, OCI, config={"mediaType": config, **blob}, layers=kinds)
    referrer = {"mediaType": OCI, "artifactType": "x", **descriptor(images.manifest("artifact"))}
    put(images, "sha256-2", INDEXES[0], manifests=[referrer])
    old = [{"mediaType": kind, **blob} for kind in (LAYER, CACHE)]
    put(images, "oldcache", INDEXES[0], manifests=old)
    put(images, "empty", INDEXES[0], manifests=[])
    return [*KINDS, "sha256-2", "oldcache", "empty"]


def descriptor(manifest: Manifest) -> dict[str, object]:
    return {"digest": manifest.digest, "size": len(manifest.body)}


def test_what_is_no_image_is_left_out_and_named_in_one_line(images, settings, capfd):
    push(images, "a" * 40)
    others = leave(images)
    promotion.admit(images, promotion.candidate(images, images.manifest("a" * 40)), "a reason")
    capfd.readouterr()
    (image,) = contents.read(images)
    assert image.tags == ("a" * 40,)
    (line,) = capfd.readouterr().err.splitlines()
    assert "no image, or damaged in the registry: artifact, attestation," in line
    assert line.endswith(f"and {len(others) - 5} more")


def test_an_image_of_several_platforms_with_attestations_is_one(images):
    child = push(images, "a" * 40)
    here = {"mediaType": OCI, "platform": {"os": "linux"}, **descriptor(child)}
    proof = {**here, "digest": f"sha256:{'1' * 64}", "platform": {"os": "unknown"}}
    index = put(images, "main", INDEXES[0], manifests=[here, proof])
    found = {image.digest: image.revision for image in contents.read(images)}
    assert found == {index.digest: "a" * 40, child.digest: "a" * 40}


def test_an_image_of_which_a_part_is_missing_is_left_out(images, store, capfd):
    push(images, "a" * 40)
    broken = push(images, "b" * 40)
    gone = {"mediaType": OCI, "digest": f"sha256:{'0' * 64}", "size": 1}
    put(images, "index", INDEXES[0], manifests=[gone])
    del store.blobs[broken.content["config"]["digest"]]
    assert [image.tags for image in contents.read(images)] == [("a" * 40,)]
    assert f"damaged in the registry: {'b' * 40}, index\n" in capfd.readouterr().err


@pytest.mark.parametrize("status", [404, 500])
def test_a_tag_that_the_registry_cannot_read_is_left_out_soon(
    images, store, monkeypatch: pytest.MonkeyPatch, capfd, status
):
    push(images, "a" * 40)
    images.put("bad", images.manifest("a" * 40))
    whole = store.do_GET

    def damaged(self) -> None:
        self.answer(status) if self.path.endswith("/bad") else whole(self)

    monkeypatch.setattr(store, "do_HEAD", damaged)
    (image,) = contents.read(images)
    assert image.tags == ("a" * 40,)
    assert "damaged in the registry: bad" in capfd.readouterr().err
    assert sum(request.endswith("/bad") for request in store.asked) <= 4


def test_a_large_registry_is_asked_only_for_what_is_shown(images, store, settings, capfd):
    commits = {f"{number:040x}": [] for number in range(3000)}
    known = list(commits)
    shared = push(images, "f" * 40, **{"ref.name": "gone"})
    for commit in known[1::2]:
        images.put(commit, shared)
    newest = push(images, known[0], **{"ref.name": "fix/login"})
    for tag in (f"tested-{known[0]}", "fix-login", "v1.0"):
        images.put(tag, newest)
    main = push(images, "d" * 40, **{"ref.name": "main"})
    released, old = push(images, "b" * 40), push(images, "c" * 40)
    images.put("main", main)
    images.put("prod", released)
    deployed.remember(images, "review-x", 4, old.digest)
    forgotten = push(images, "9" * 40)
    deployed.remember(images, "prod", 9, forgotten.digest)
    for number in range(90, 110):
        deployed.remember(images, "prod", number, released.digest)
    commits[known[0]] = ["HEAD", "v1.0"]
    store.asked.clear()
    found, hidden = contents.select(images, settings, lambda: commits)
    by_digest = {image.digest: image.tags for image in found}
    assert by_digest.keys() == {each.digest for each in (shared, newest, main, released, old)}
    assert by_digest[newest.digest] == (known[0], "fix-login", f"tested-{known[0]}", "v1.0")
    assert "deployed-review-x-4" in by_digest[old.digest]
    assert len(store.asked) < 100
    assert hidden == len(images.tags()) - sum(map(len, by_digest.values()))
    whole, none = contents.select(images, settings, lambda: commits, whole=True)
    assert (len(whole), none) == (6, 0)


def test_what_is_used_now_is_known_by_its_digest(images):
    made = [push(images, letter * 40) for letter in "abc"]
    images.put("prod-previous", made[0])
    deployed.remember(images, "prod", 3, made[1].digest)
    assert contents.in_use(images, ["prod"]) == {made[0].digest, made[1].digest}
