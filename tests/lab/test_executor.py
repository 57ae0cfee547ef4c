"""The pipeline's jobs in containers, their engine a service with TLS: GitLab's Docker executor."""

from __future__ import annotations

import re
import subprocess
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from invoke import Context

from tasks.lib.images.promotion import is_tested
from tasks.lib.images.refs import resolve
from tasks.lib.rehearsal.gitlab_ci_local import TOOL, install
from tests.testbed.commands import docker, git
from tests.testbed.labs import started
from tests.testbed.registries import client
from tests.testbed.sites import Exports

pytestmark = [pytest.mark.engine, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
# More for a job's image: with it the lab is reached as from this machine.
SOCAT = "RUN apt-get update && apt-get install --yes --no-install-recommends socat\n"
# Does what docker:dind does; it knows the lab's mirror of Docker Hub by its name.
ENGINE = """\
FROM debian:trixie-slim
RUN apt-get update \\
 && apt-get install --yes --no-install-recommends docker.io docker-cli iptables openssl socat tini
VOLUME /var/lib/docker
COPY <<'END' /start
set -eu
mkdir -p /certs/client /certs/server && cd /certs/server
openssl req -x509 -newkey rsa:2048 -noenc -days 2 -subj /CN=ca -keyout ca.key -out ca.pem
for who in server client; do
    openssl req -newkey rsa:2048 -noenc -subj /CN=$who -addext subjectAltName=DNS:docker \\
        -keyout $who.key -out $who.csr
    openssl x509 -req -in $who.csr -copy_extensions copy -days 2 -CA ca.pem -CAkey ca.key \\
        -out $who.pem
done
install -m 644 ca.pem ../client/ca.pem
install -m 644 client.pem ../client/cert.pem
install -m 644 client.key ../client/key.pem
{forward}
exec dockerd --host=tcp://0.0.0.0:2376 --tlsverify --tlscacert=ca.pem --tlscert=server.pem \\
    --tlskey=server.key --insecure-registry=mirror:5000 --registry-mirror=http://mirror:5000
END
ENTRYPOINT ["tini", "--", "sh", "/start"]
"""
# What gitlab-ci-local copies artifacts with.
HELPER = """\
FROM debian:trixie-slim
RUN apt-get update && apt-get install --yes --no-install-recommends rsync
"""
# README's lines for a repository whose jobs run in containers.
YAML = re.compile(r"```yaml\n(.*?)```", re.DOTALL)
JOBS = ["build", "check", "test", "release:staging", "deploy:staging", "smoke:staging"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exports]:
    """A lab of its own, since it is deployed to."""
    with started(tmp_path_factory.mktemp("docker-config")) as exports:
        yield exports


@pytest.fixture(scope="module")
def forwards(lab) -> list[str]:
    """Commands that let the lab's ports of this machine be those of a container on its network."""
    found = []
    names = docker("ps", "--format", "{{.Names}}", "--filter", f"name=-lab-{lab['LAB_NAME']}-")
    for name in names.split():
        for line in docker("port", name).splitlines():
            inner, _, outer = line.partition(" -> ")
            way = f"TCP:{name}:{inner.partition('/')[0]}"
            listen = f"TCP-LISTEN:{outer.rpartition(':')[2]},bind=127.0.0.1,fork,reuseaddr"
            found.append(f"socat {listen} {way} >/dev/null 2>&1 &")
    return found


@pytest.fixture(scope="module")
def images(forwards) -> Iterator[dict[str, str]]:
    """The images of the job, its engine and the helper, by what they are."""
    mark = uuid.uuid4().hex[:8]
    engine = ENGINE.replace("{forward}", "\n".join(forwards))
    job = (ROOT / "docker/ci.Dockerfile").read_text() + SOCAT
    files = {"ci": job, "dind": engine, "helper": HELPER}
    names = {what: f"test-{what}-{mark}:1" for what in files}
    try:
        for what, text in files.items():
            docker("build", "--quiet", "--tag", names[what], "-", text=text)
        yield names
    finally:
        docker("image", "rm", "--force", *names.values())


@pytest.fixture
def certificates() -> Iterator[str]:
    """A volume, in which a job finds the certificates of its engine."""
    name = f"test-certs-{uuid.uuid4().hex[:8]}"
    docker("volume", "create", name)
    yield name
    docker("volume", "rm", "--force", name)


def write(clone: Path, home: Path, default: dict[str, Any], given: Exports) -> None:
    """Let a clone look like a project of GitLab's whose runner has a Docker executor."""
    git(clone, "remote", "add", "gcl-origin", "https://gitlab.example.com/group/app.git")
    git(clone, "update-ref", "refs/remotes/gcl-origin/main", "HEAD")
    git(clone, "symbolic-ref", "refs/remotes/gcl-origin/HEAD", "refs/remotes/gcl-origin/main")
    mine = yaml.safe_load(YAML.findall((clone / "README.md").read_text())[0])
    assert mine["default"]["services"] == ["docker:28-dind"]
    mine |= {"default": default, "include": [{"local": mine["include"][0]["file"]}]}
    (clone / "docker.yml").write_text(yaml.safe_dump(mine))
    (clone / ".git/info/exclude").write_text(".gitlab-ci-local/\ndocker.yml\n.inv\n")
    (home / ".gitlab-ci-local").mkdir(parents=True)
    values = {key: {"values": {"*": value}} for key, value in given.items()}
    (home / ".gitlab-ci-local/variables.yml").write_text(yaml.safe_dump({"global": values}))


def test_the_jobs_run_in_containers_too(lab, forwards, images, certificates, make_clone, tmp_path):
    name = f"name=-lab-{lab['LAB_NAME']}-mirror"
    mirror = docker("ps", "--format", "{{.Names}}", "--filter", name)
    port = docker("port", mirror, "5000").rpartition(":")[2]
    base = "python:3.13-slim-trixie"
    mirrored = f"localhost:{port}/library/{base}"
    docker("tag", base, mirrored)
    docker("push", "--quiet", mirrored)
    docker("image", "rm", mirrored)
    clone, home = make_clone(tmp_path / "clone"), tmp_path / "home"
    service = {"name": images["dind"], "alias": "docker"}
    default = {"image": images["ci"], "services": [service], "before_script": forwards}
    settings = lab["INVOKE_RUNTIME_CONFIG"]
    given = {key: value for key, value in lab.items() if key.startswith(("CI_", "SSH_"))}
    lab_says = yaml.safe_load(Path(settings).read_text())
    given |= {"CI_REGISTRY_IMAGE": lab_says["registry"]["image"], "INVOKE_RUNTIME_CONFIG": settings}
    write(clone, home, default, given)
    install(Context())

    done = subprocess.run(
        [
            TOOL, "--no-color", "--file=docker.yml", f"--home={home}", "--privileged",
            "--variable=CI_COMMIT_BRANCH=main", "--variable=CI_PIPELINE_SOURCE=push",
            f"--network={mirror.removesuffix('-mirror')}_default", "--concurrency=1",
            f"--volume={certificates}:/certs", f"--volume={settings}:{settings}:ro",
            "--pull-policy=if-not-present", f"--helper-image={images['helper']}", *JOBS,
        ],
        cwd=clone, capture_output=True, text=True, timeout=900,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith(" PASS ")]
    assert sorted(passed) == sorted(JOBS)
    user, password = lab["CI_REGISTRY_USER"], lab["CI_REGISTRY_PASSWORD"]
    assert password not in done.stdout + done.stderr
    registry = client(lab_says["registry"]["image"], user, password)
    commit = git(clone, "rev-parse", "HEAD")
    digest = registry.digest(commit)
    assert is_tested(registry, resolve(registry, digest))
    assert registry.digest("staging") == digest
    url = lab_says["environments"]["staging"]["url"]
    assert commit in urllib.request.urlopen(f"{url}/livez").read().decode()
