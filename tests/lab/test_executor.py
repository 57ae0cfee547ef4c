"""The pipeline's jobs in containers, with an engine as their service: GitLab's Docker executor."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from invoke import Context

from tasks.lib.credentials import Login
from tasks.lib.gitlab_tool import TOOL, install
from tasks.lib.image import Reference
from tasks.lib.registry import Registry
from tasks.lib.release import is_tested
from tasks.lib.transport import Transport

from .support import Exports, docker, git

pytestmark = [pytest.mark.engine, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
# Does what docker:dind does without TLS; it knows the lab's registry and mirror by their names.
ENGINE = """\
FROM debian:trixie-slim
RUN apt-get update \\
 && apt-get install --yes --no-install-recommends docker.io docker-cli iptables tini
VOLUME /var/lib/docker
ENTRYPOINT ["tini", "--", "dockerd", "--host=tcp://0.0.0.0:2375", \\
    "--insecure-registry=registry:5000", "--insecure-registry=mirror:5000", \\
    "--registry-mirror=http://mirror:5000"]
"""
# What gitlab-ci-local copies artifacts with.
HELPER = """\
FROM debian:trixie-slim
RUN apt-get update && apt-get install --yes --no-install-recommends rsync
"""
JOBS = ["build", "check", "test", "release:staging"]


@pytest.fixture(scope="module")
def images() -> Iterator[dict[str, str]]:
    """The images of the job, its engine and the helper, by what they are."""
    mark = uuid.uuid4().hex[:8]
    files = {"ci": (ROOT / "docker/ci.Dockerfile").read_text(), "dind": ENGINE, "helper": HELPER}
    names = {what: f"test-{what}-{mark}:1" for what in files}
    try:
        for what, text in files.items():
            docker("build", "--quiet", "--tag", names[what], "-", text=text)
        yield names
    finally:
        docker("image", "rm", "--force", *names.values())


def write(clone: Path, home: Path, images: dict[str, str], given: Exports) -> None:
    """Let a clone look like a project of GitLab's whose runner has a Docker executor."""
    git(clone, "remote", "add", "gcl-origin", "https://gitlab.example.com/group/app.git")
    git(clone, "update-ref", "refs/remotes/gcl-origin/main", "HEAD")
    git(clone, "symbolic-ref", "refs/remotes/gcl-origin/HEAD", "refs/remotes/gcl-origin/main")
    service = {"name": images["dind"], "alias": "docker"}
    variables = {"DOCKER_HOST": "tcp://docker:2375", "INVOKE_REGISTRY_INSECURE": "true"}
    default = {"image": images["ci"], "services": [service]}
    mine = {"include": [{"local": ".gitlab-ci.yml"}], "default": default, "variables": variables}
    (clone / "docker.yml").write_text(yaml.safe_dump(mine))
    (clone / ".git/info/exclude").write_text(".gitlab-ci-local/\ndocker.yml\n.venv\n")
    (home / ".gitlab-ci-local").mkdir(parents=True)
    values = {key: {"values": {"*": value}} for key, value in given.items()}
    (home / ".gitlab-ci-local/variables.yml").write_text(yaml.safe_dump({"global": values}))


def test_the_jobs_run_in_containers_too(lab, images, make_clone, tmp_path):
    name = f"name=-lab-{lab['LAB_NAME']}-mirror"
    mirror = docker("ps", "--format", "{{.Names}}", "--filter", name)
    port = docker("port", mirror, "5000").rpartition(":")[2]
    base = "python:3.13-slim-trixie"
    mirrored = f"localhost:{port}/library/{base}"
    docker("tag", base, mirrored)
    docker("push", "--quiet", mirrored)
    docker("image", "rm", mirrored)
    clone, home = make_clone(tmp_path / "clone"), tmp_path / "home"
    user, password = lab["CI_REGISTRY_USER"], lab["CI_REGISTRY_PASSWORD"]
    given = {"CI_REGISTRY": "registry:5000", "CI_REGISTRY_IMAGE": "registry:5000/group/app"}
    given |= {"CI_REGISTRY_USER": user, "CI_REGISTRY_PASSWORD": password}
    write(clone, home, images, given)
    install(Context())

    done = subprocess.run(
        [
            TOOL, "--no-color", "--file=docker.yml", f"--home={home}", "--privileged",
            "--variable=CI_COMMIT_BRANCH=main", "--variable=CI_PIPELINE_SOURCE=push",
            f"--network={mirror.removesuffix('-mirror')}_default", "--concurrency=2",
            "--pull-policy=if-not-present", f"--helper-image={images['helper']}", *JOBS,
        ],
        cwd=clone, capture_output=True, text=True, timeout=900,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith(" PASS ")]
    assert sorted(passed) == sorted(JOBS)
    assert password not in done.stdout + done.stderr
    host = lab["CI_REGISTRY"]
    registry = Registry(
        Reference(host, "group/app"), Transport(host, Login(host, user, password, "a test"))
    )
    digest = registry.digest(git(clone, "rev-parse", "HEAD"))
    assert is_tested(registry, digest)
    assert registry.digest("staging") == digest
