"""From a commit to an environment, on a real registry with a real login."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.lib.images import promotion, refs
from tests.testbed.commands import git
from tests.testbed.engines import BASE, Engine, forward, own_engine
from tests.testbed.registries import Server

from .conftest import PASSWORD, USER

pytestmark = pytest.mark.engine
# The tags of the stages that invoke.yaml has kept.
KEPT = ("cache-deps", "cache-prepared")


def last(done: subprocess.CompletedProcess[str]) -> str:
    """The last line of stderr: what the user is told."""
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_the_digest_built_is_the_digest_tested_and_the_digest_released(repository):
    digest = repository.build("--digest-file", "out/digest", "--dotenv", "out/env")
    commit = git(repository.root, "rev-parse", "HEAD")
    registry = repository.registry
    assert (repository.root / "out/digest").read_text() == f"{digest}\n"
    assert f"IMAGE={repository.image}@{digest}\n" in (repository.root / "out/env").read_text()
    assert {tag: registry.digest(tag) for tag in (commit, "main")} == {
        commit: digest,
        "main": digest,
    }

    assert promotion.mark_tested(registry, digest) == f"tested-{commit}"
    released = repository.must("release", "--env=staging")

    assert released == f"{repository.image}@{digest}"
    assert registry.digest("staging") == registry.digest(f"tested-{commit}") == digest
    labels = registry.config(registry.manifest("staging"))["config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == commit
    listed = repository.must("images").splitlines()
    assert listed[1].split()[1] == commit[:12]
    assert "yes" in listed[1] and "staging" in listed[1]


def test_releasing_again_does_nothing_and_the_next_release_keeps_the_one_before(repository):
    registry = repository.registry
    first = repository.build()
    promotion.mark_tested(registry, first)
    repository.must("release", "--env=staging")
    again = repository.inv("release", "--env=staging")
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
    assert registry.digest("staging-previous") == ""

    repository.commit("a new feature")
    second = repository.build()
    promotion.mark_tested(registry, second)
    done = repository.inv("release", "--env=staging", "--ref=main")
    assert registry.digest("staging") == second != first
    assert registry.digest("staging-previous") == first
    assert first[7:19] in done.stderr and f"-> {second[7:19]}" in done.stderr
    assert "a new feature" in done.stderr

    back = repository.inv("release", "--env=staging", "--ref=staging-previous")
    assert registry.digest("staging") == first, back.stderr
    assert any(
        line.startswith("  - ") and "a new feature" in line for line in back.stderr.split("\n")
    )


def test_a_release_is_named_by_digest_commit_branch_or_environment(repository):
    registry = repository.registry
    digest = repository.build()
    commit = promotion.mark_tested(registry, digest).removeprefix("tested-")
    for ref in (digest, commit, commit[:8], "main", "staging"):
        env = "prod" if ref == "staging" else "staging"
        assert repository.must("release", f"--env={env}", f"--ref={ref}").endswith(digest), ref


def test_an_untested_image_is_refused_and_a_reason_forces_it(repository):
    registry = repository.registry
    digest = repository.build()
    refused = repository.inv("release", "--env=staging")
    assert refused.returncode == 2
    assert f"is not tested - ./inv test --image={repository.image}@{digest}" in last(refused)
    assert registry.digest("staging") == ""

    repository.must("release", "--env=staging", "--force", "the fire must be put out")
    assert registry.digest("staging") == digest
    commit = git(repository.root, "rev-parse", "HEAD")
    notes = registry.manifest(f"forced-{commit}").content["annotations"]
    assert notes["reason"] == "the fire must be put out"
    assert notes["digest"] == digest
    assert "no " in repository.must("images")


def test_a_reason_is_recorded_for_what_is_released_already_too(repository):
    registry = repository.registry
    digest = repository.build()
    registry.put("staging", registry.manifest(digest))
    assert "nothing to do" in repository.inv("release", "--env=staging").stderr
    commit = git(repository.root, "rev-parse", "HEAD")
    assert registry.digest(f"forced-{commit}") == ""

    done = repository.inv("release", "--env=staging", "--force", "it was tagged by hand")
    assert "is not tested, and forced: it was tagged by hand" in done.stderr
    assert "nothing to do" in done.stderr
    assert registry.manifest(f"forced-{commit}").content["annotations"]["digest"] == digest


def test_a_mark_is_of_one_digest_and_not_of_its_commit(repository):
    registry = repository.registry
    promotion.mark_tested(registry, repository.build())
    dockerfile = repository.root / "Dockerfile"
    git(repository.root, "update-index", "--assume-unchanged", "Dockerfile")
    dockerfile.write_text(dockerfile.read_text() + "ENV OTHER=yes\n")
    other = repository.build("--no-cache")
    assert not promotion.is_tested(registry, refs.resolve(registry, other))
    assert repository.inv("release", "--env=staging").returncode == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--env=stagin"], "unknown environment 'stagin' - did you mean --env=staging?"),
        ([], "which environment? - known: staging, prod"),
        (["--env=staging", "--ref=nowhere"], "no image for 'nowhere' in"),
        (["--env=staging"], "inv build --push"),
    ],
)
def test_what_cannot_be_released_is_refused_in_one_line(repository, words, expected):
    done = repository.inv("release", *words)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert expected in last(done)


@pytest.mark.parametrize(
    "words", [["login"], ["images"], ["build", "--push"], ["release", "--env=staging"]]
)
def test_a_wrong_password_is_told_in_one_line(repository, words):
    done = repository.inv(*words, CI_REGISTRY_PASSWORD="wrong")
    assert done.returncode == 1
    assert "denied the login as robot (from CI_REGISTRY_PASSWORD)" in last(done)
    assert "wrong" not in last(done)


def test_no_login_at_all_is_told_with_what_to_do(repository, server):
    done = repository.inv("images", CI_REGISTRY="")
    assert f"inv: {server.host} requires a login - docker login {server.host}" in last(done)


def test_login_tells_whose_and_leaves_nothing_behind(repository, tmp_path):
    done = repository.inv("login", TMPDIR=str(tmp_path / "clone"))
    assert "logged in as robot (from CI_REGISTRY_PASSWORD)" in last(done)
    assert PASSWORD not in done.stderr + done.stdout
    assert not list((tmp_path / "clone").glob("inv-scratch-*"))
    assert not (tmp_path / "docker-config").exists()


def test_a_deploy_token_of_ci_is_used(repository):
    env = {"CI_REGISTRY_USER": "", "CI_DEPLOY_USER": USER, "CI_DEPLOY_PASSWORD": PASSWORD}
    assert "(from CI_DEPLOY_PASSWORD)" in repository.inv("login", **env).stderr


def test_the_users_own_docker_login_is_used(repository, server):
    env = {"CI_REGISTRY": "", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    command = ["docker", "--config", repository.env["DOCKER_CONFIG"], "login", "--password-stdin"]
    subprocess.run(
        [*command, "--username", USER, server.host], input=PASSWORD, text=True, check=True
    )
    assert "as robot (from /" in repository.inv("login", **env).stderr
    assert repository.build(CI_REGISTRY="").startswith("sha256:")


def test_a_credential_helper_is_asked(repository, server, tmp_path, monkeypatch):
    helper = tmp_path / "bin/docker-credential-test"
    helper.parent.mkdir()
    answer = json.dumps({"ServerURL": server.host, "Username": USER, "Secret": PASSWORD})
    helper.write_text(
        f"#!/bin/sh\nread host; [ $host = {server.host} ] && cat <<'E'\n{answer}\nE\n"
    )
    helper.chmod(0o755)
    config = tmp_path / "docker-config/config.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"credHelpers": {server.host: "test"}}))
    monkeypatch.setenv("PATH", f"{helper.parent}:/usr/local/bin:/usr/bin:/bin")
    done = repository.inv("login", CI_REGISTRY="")
    assert "as robot (from docker-credential-test)" in done.stderr
    assert repository.build(CI_REGISTRY="").startswith("sha256:")


@pytest.mark.parametrize(
    ("branch", "tag"),
    [
        ("feature/Some-Thing", "feature-some-thing"),
        ("Ärger/für_alle.2", "rger-f-r-alle-2"),
        ("x" * 200, "x" * 63),
    ],
)
def test_any_branch_gives_a_tag(repository, branch, tag):
    git(repository.root, "checkout", "-b", branch)
    digest = repository.build()
    assert repository.registry.digest(tag) == digest


def test_a_branch_called_like_an_environment_releases_nothing(repository):
    git(repository.root, "checkout", "-b", "prod")
    done = repository.inv("build", "--push")
    assert done.returncode == 0
    assert "warning: no tag prod: that name is reserved - to deploy" in done.stderr
    assert repository.registry.digest("prod") == ""


def test_a_git_tag_tags_the_image_too_and_nothing_is_built_again(repository):
    digest = repository.build()
    git(repository.root, "tag", "v1.2.0")
    again = repository.inv("build", "--push")
    assert "already exists in the registry" in again.stderr
    assert again.stdout.strip().endswith(digest)
    assert repository.registry.digest("v1.2.0") == digest


def test_a_shallow_clone_with_a_detached_head_knows_its_branch_from_ci(repository, tmp_path):
    commit = repository.commit("what CI builds")
    origin = repository.root.rename(tmp_path / "origin")
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{origin}", str(repository.root))
    git(repository.root, "checkout", "--quiet", "--detach")
    (repository.root / ".inv").symlink_to(origin / ".inv")
    (repository.root / ".git/info/exclude").write_text(".inv\n")
    env = {"CI_COMMIT_SHA": commit, "CI_COMMIT_REF_NAME": "Feature/X", "CI": "true"}
    digest = repository.build(**env)
    assert sorted(repository.registry.tags()) == sorted([commit, "feature-x", *KEPT])
    promotion.mark_tested(repository.registry, digest)
    repository.must("release", "--env=staging", **env)


def test_dirty_files_are_not_pushed_unasked_and_are_marked(repository):
    (repository.root / "manage.py").write_text("changed")
    refused = repository.inv("build", "--push")
    assert refused.returncode == 2
    assert "uncommitted changes: not pushing - commit first, or add --allow-dirty" in last(refused)
    assert repository.registry.tags() == []
    repository.build("--allow-dirty")
    commit = git(repository.root, "rev-parse", "HEAD")
    assert set(repository.registry.tags()) == {f"{commit}-dirty"}


def test_without_push_the_image_is_in_the_engine_only(repository):
    name = repository.must("build")
    assert name == f"{repository.image}:{git(repository.root, 'rev-parse', 'HEAD')}"
    assert subprocess.run(["docker", "image", "inspect", name], capture_output=True).returncode == 0
    assert repository.registry.tags() == []
    refused = repository.inv("build", "--digest-file", "x")
    assert "an image has no digest until it is pushed - add --push" in last(refused)


def test_dry_says_what_it_would_do_and_changes_nothing(repository):
    done = repository.inv("--dry", "build", "--push")
    assert done.returncode == 0, done.stderr
    assert "docker buildx build" in done.stderr
    assert repository.registry.tags() == []
    promotion.mark_tested(repository.registry, repository.build())
    done = repository.inv("--dry", "release", "--env=staging")
    assert f"PUT http://{repository.image.replace('/', '/v2/', 1)}/manifests/staging" in done.stderr
    assert repository.registry.digest("staging") == ""


def test_two_releases_at_once_leave_one_of_them_and_what_was_before(repository):
    registry = repository.registry
    digests = []
    for number in range(3):
        repository.commit(f"number {number}")
        digests.append(repository.build())
        promotion.mark_tested(registry, digests[-1])
    repository.must("release", "--env=staging", f"--ref={digests[0]}")
    with ThreadPoolExecutor(2) as pool:
        runs = pool.map(
            lambda ref: repository.inv("release", "--env=staging", f"--ref={ref}"), digests[1:]
        )
        ended = [done.returncode for done in runs]
    assert 0 in ended
    assert registry.digest("staging") in digests[1:]
    assert registry.digest("staging-previous") in digests
    assert registry.digest("staging-previous") != registry.digest("staging")


def test_old_images_go_but_none_that_is_used(repository):
    registry = repository.registry
    made = []
    for number in range(4):
        repository.commit(f"number {number}")
        made.append(repository.build())
        promotion.mark_tested(registry, made[-1])
        if number < 2:
            repository.must("release", "--env=staging")
    git(repository.root, "checkout", "-b", "other")
    repository.commit("on a branch")
    made.append(repository.build())

    refused = repository.inv("images.prune", "--keep", "1")
    assert refused.returncode == 2
    assert "nothing was deleted - there is no terminal to ask on; if yes, add --yes" in last(
        refused
    )
    repository.must("images.prune", "--keep", "1", "--yes")
    left = [bool(registry.digest(digest)) for digest in made]
    assert left == [True, True, False, False, True]
    assert registry.digest("staging") == made[1]
    assert registry.digest("staging-previous") == made[0]
    assert repository.must("images.prune", "--keep", "1", "--yes") == ""


@pytest.mark.parametrize("revision", ["", "refs/heads/main"])
def test_an_image_without_a_commit_is_marked_listed_as_tested_and_pruned(repository, revision):
    registry = repository.registry
    dockerfile = repository.root / "Dockerfile"
    text = dockerfile.read_text().partition("ARG REVISION")[0]
    label = f'LABEL org.opencontainers.image.revision="{revision}"\n' if revision else ""
    dockerfile.write_text(text + label)
    git(repository.root, "commit", "--all", "--message", "another label")
    digest = repository.build()
    assert repository.inv("release", "--env=staging").returncode == 2

    mark = promotion.mark_tested(registry, digest)

    assert mark == f"tested-{revision.replace('/', '-') or digest[7:19]}"
    assert promotion.is_tested(registry, refs.resolve(registry, digest))
    (listed,) = repository.must("images").splitlines()[1:]
    assert " yes " in listed and mark not in listed
    repository.must("images.prune", "--keep", "0", "--yes")
    assert [registry.digest(name) for name in (mark, "main", digest)] == ["", "", ""]


def test_a_registry_that_is_down_is_told_in_one_line_by_every_task(repository, server):
    promotion.mark_tested(repository.registry, repository.build())
    repository.commit("more")
    tasks = [["login"], ["images"], ["build", "--push"], ["release", "--env=staging", "--ref=main"]]
    server.stop()
    try:
        with ThreadPoolExecutor(len(tasks)) as pool:
            ended = list(pool.map(lambda words: repository.inv(*words), tasks))
    finally:
        server.start()
    for done in ended:
        assert done.returncode == 1
        assert f"the registry {server.host} does not answer (" in last(done)
        assert "then retry" in last(done)
    assert repository.build().startswith("sha256:")


def test_a_registry_that_comes_back_in_time_is_waited_for(repository, server):
    promotion.mark_tested(repository.registry, repository.build())
    server.stop()
    back = threading.Timer(3, server.start)
    back.start()
    done = repository.inv("release", "--env=staging")
    back.join()
    assert done.returncode == 0, done.stderr
    assert repository.registry.digest("staging") == repository.registry.digest("main")


def forget(engine: Engine) -> None:
    """Let an engine be one that has built nothing."""
    names = engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    engine.docker("rmi", "--force", *(name for name in names if name != BASE))
    engine.docker("builder", "prune", "--all", "--force")


@pytest.fixture
def fresh(server: Server, tmp_path: Path) -> Iterator[Engine]:
    """An engine of its own with the base image."""
    with own_engine(tmp_path, forward({server.port: server.container})) as engine:
        engine.load(BASE, tmp_path / "base.tar")
        yield engine


@pytest.fixture
def store(server: Server, tmp_path: Path) -> Iterator[str]:
    """The address of an engine that keeps its images in containerd, as Docker Desktop does."""
    (tmp_path / "daemon.json").write_text('{"features": {"containerd-snapshotter": true}}')
    settings = f"--volume={tmp_path}/daemon.json:/etc/docker/daemon.json:ro"
    leads = forward({server.port: server.container})
    with own_engine(tmp_path, settings, leads, daemon=("--storage-driver=overlayfs",)) as engine:
        yield engine.address


def test_the_kept_stages_are_sent_when_the_default_branch_has_others(repository, fresh):
    def sent() -> bool:
        done = repository.inv("--echo", "build", "--push", DOCKER_HOST=fresh.address)
        assert done.returncode == 0, done.stderr
        both = [f"--target {stage}" in done.stderr for stage in ("deps", "prepared")]
        assert both[0] == both[1]
        return both[0]

    def change(name: str) -> None:
        with (repository.root / name).open("a") as file:
            file.write("# changed\n")
        git(repository.root, "commit", "--all", "--message", f"another {name}")

    assert sent()
    repository.commit("other code")
    assert not sent()
    git(repository.root, "checkout", "-b", "feature")
    change("requirements/app.txt")
    assert not sent()
    # The branch has made the image already.
    git(repository.root, "checkout", "main")
    git(repository.root, "merge", "--ff-only", "feature")
    assert sent()
    change("myapp/static/myapp/site.css")
    assert sent()
    assert not sent()
    repository.commit("other code again")
    assert not sent()


def test_an_image_is_pushed_where_a_stage_cannot_be_kept(repository):
    settings = repository.root / "invoke.yaml"
    settings.write_text(settings.read_text().replace("cache: [deps, prepared]", "cache: [gone]"))
    git(repository.root, "commit", "--all", "--message", "a stage that is not there")
    done = repository.inv("build", "--push")
    assert done.returncode == 0, done.stderr
    assert (
        "warning: build cache not updated, cold builds take longer: docker build: " in done.stderr
    )
    assert "correct registry.cache in invoke.yaml" in last(done)
    assert "main" in repository.registry.tags()


# Each of its layers is another one when it is made again.
FRESH = f"""\
FROM {BASE} AS base

FROM base AS deps
COPY requirements/app.txt /
RUN cat /app.txt /proc/sys/kernel/random/uuid >/deps

FROM base AS prepared
RUN cat /proc/sys/kernel/random/uuid >/system
COPY --link --from=deps /deps /deps
COPY myapp/static/myapp/site.css /

FROM prepared AS runtime
COPY --link manage.py /
"""


def test_a_fresh_engine_makes_only_what_changed(repository, fresh):
    registry = repository.registry

    def layers(name: str) -> list[str]:
        (config,) = registry.platforms(registry.manifest(name))
        return config["rootfs"]["diff_ids"]

    def made() -> list[str]:
        digest = repository.build(DOCKER_HOST=fresh.address)
        forget(fresh)
        return layers(digest)

    (repository.root / "Dockerfile").write_text(FRESH)
    repository.commit("a Dockerfile that tells")
    first = made()
    deps = layers("cache-deps")
    # What a second engine took over and kept again is there for a third and a fourth.
    (repository.root / "myapp/static/myapp/site.css").write_text("")
    repository.commit("other files")
    second = made()
    assert second[:-2] == first[:-2]
    assert second[-2:] != first[-2:]
    assert layers("cache-deps") == deps
    for number in range(2):
        repository.commit(f"other code {number}")
        assert made()[:-1] == second[:-1]


def test_the_bill_of_materials_lists_python_and_debian_packages(repository):
    dockerfile = repository.root / "Dockerfile"
    text = dockerfile.read_text().replace(
        "FROM scratch AS prepared", "FROM python:3.13-slim-trixie AS prepared"
    )
    dockerfile.write_text(text + "RUN python -m venv --without-pip /v\n")
    git(repository.root, "commit", "--all", "--message", "with Python")
    digest = repository.build("--sbom", "reports/sbom.json")
    bill = json.loads((repository.root / "reports/sbom.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["version"] == digest
    names = [each["purl"] for each in bill["components"]]
    assert any(name.startswith("pkg:pypi/pip@") for name in names)
    assert any(name.startswith("pkg:deb/debian/libc6@") for name in names)


def test_an_image_of_several_platforms_is_one_digest(repository, store):
    both = "linux/amd64,linux/arm64"
    digest = repository.build(f"--platform={both}", DOCKER_HOST=store)
    registry = repository.registry
    commit = git(repository.root, "rev-parse", "HEAD")
    made = registry.manifest(commit)
    assert made.digest == digest == registry.digest("main")
    kinds = [each["platform"]["architecture"] for each in made.content["manifests"]]
    assert kinds == ["amd64", "arm64"]
    for child in made.children:
        labels = registry.labels(registry.manifest(child))
        assert labels["org.opencontainers.image.revision"] == commit
    promotion.mark_tested(registry, digest)
    repository.must("release", "--env=staging")
    assert registry.digest("staging") == digest
    repository.commit("other code")
    again = repository.inv("--echo", "build", "--push", f"--platform={both}", DOCKER_HOST=store)
    assert again.returncode == 0
    assert "--target prepared" not in again.stderr


def test_an_engine_that_builds_for_one_platform_only_says_so(repository):
    done = repository.inv("build", "--push", "--platform=linux/amd64,linux/arm64")
    assert done.returncode == 2
    assert last(done).startswith("inv: this builder makes one platform at a time - docker buildx ")
    assert repository.registry.tags() == []
