"""What is in the released image, and what is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.image.engine import LABELS, SETTINGS
from tests.testbed.commands import ROOT, docker
from tests.testbed.project import ARGUMENTS

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def config(image: str) -> dict[str, Any]:
    return dict(json.loads(docker("image", "inspect", "--format={{json .Config}}", image)))


@pytest.fixture
def shell(image: str) -> Callable[..., str]:
    """Runs a line of shell in a new container."""

    def run(line: str, *options: str) -> str:
        return docker("run", "--rm", *options, "--entrypoint=sh", image, "-c", line)

    return run


def layers(image: str) -> list[str]:
    return list(json.loads(docker("image", "inspect", "--format={{json .RootFS.Layers}}", image)))


def test_it_runs_as_a_user_with_a_fixed_number_and_no_rights(config, shell):
    assert config["User"] == "10001:10001"
    assert shell("echo $(id -u) $(id -g) $(id -G)") == "10001 10001 10001"


def test_it_is_small(image):
    size = int(docker("image", "inspect", "--format={{.Size}}", image))
    assert size < 0.35 * 1093e6


def test_it_says_what_it_was_made_from(config):
    expected = {f"org.opencontainers.image.{name}": value for name, value in LABELS.items()}
    found = {name: config["Labels"].get(name) for name in expected}
    assert expected == found


def test_the_app_knows_the_commit_it_was_made_from(config):
    assert f"VERSION={LABELS['revision']}" in config["Env"]


def test_labels_change_no_layer(image, mark, build):
    tag = f"{mark}:other"
    words = ["--target=runtime", "--build-arg=REVISION=other", f"--tag={tag}"]
    docker("build", "--quiet", *ARGUMENTS, *words, ROOT)
    other = layers(tag)
    docker("image", "rm", tag)
    assert layers(image) == other


def test_nothing_but_temporary_folders_is_writable(shell):
    found = shell("find / -xdev ! -type l -writable -not -path '/proc/*' 2>/dev/null; true")
    assert {"/tmp", "/var/tmp", "/run/lock"} >= set(found.split()) - {"/dev/shm", "/dev/mqueue"}


def test_the_code_belongs_to_root(shell):
    assert shell("find /app /opt/venv ! -user root -o ! -group root") == ""


def test_the_code_is_compiled(shell):
    assert (
        shell(
            "for f in $(find /app/myapp -name '*.py'); do"
            " test -e $(dirname $f)/__pycache__/$(basename $f .py).cpython-313.pyc || echo $f; done"
        )
        == ""
    )


def test_a_start_compiles_nothing(shell):
    code = """
import os, sys
from importlib.util import cache_from_source
import myapp.wsgi, myapp.celery, celery.bin.worker, gzip
for each in list(sys.modules.values()):
    file = getattr(each, "__file__", None) or ""
    if file.endswith(".py") and not os.path.exists(cache_from_source(file)):
        print(file)
"""
    variables = [f"--env={name}={value}" for name, value in SETTINGS.items()]
    assert shell(f"python -c '{code}'", *variables) == ""


@pytest.mark.parametrize("tool", ["gcc", "cc", "make", "git", "curl", "wget", "uv", "npm"])
def test_it_has_no_build_tools(shell, tool):
    assert shell(f"command -v {tool} || echo none") == "none"


@pytest.mark.parametrize("module", ["pytest", "coverage", "xdist", "debugpy", "watchfiles"])
def test_it_has_no_tools_of_tests_and_development(shell, module):
    line = f"import importlib.util as u; print(u.find_spec({module!r}))"
    assert shell(f'python -c "{line}"') == "None"


def test_only_code_is_in_it(shell):
    assert shell("ls -A /app") == "docker\nmanage.py\nmyapp\nstatic"
    assert shell("find / -xdev -name .git -o -path '/app/*tests*' 2>/dev/null; true") == ""


def test_static_files_are_hashed_and_compressed(shell):
    found = shell("find /app/static -name 'site.????????????.css*' -printf '%f '").split()
    assert {".css", ".br", ".gz"} == {name[name.rindex(".") :] for name in found}


def test_it_holds_no_secret(image, config):
    history = docker("image", "history", "--no-trunc", "--format={{.CreatedBy}}", image)
    everything = json.dumps(config) + history
    names = [*SETTINGS, "PASSWORD", "TOKEN"]
    assert [name for name in names if name in everything] == []


def test_the_tested_image_begins_with_the_layers_of_the_released_one(image, build):
    released, tested = layers(image), layers(build("test"))
    assert released == tested[: len(released)]
    assert len(tested) > len(released)


def test_the_test_stage_can_be_built_on_a_released_image(image, mark):
    tag = f"{mark}:tested"
    words = ["--target=test", f"--build-arg=TESTED={image}", f"--tag={tag}"]
    docker("build", "--quiet", *ARGUMENTS, *words, ROOT)
    tested = layers(tag)
    version = docker("run", "--rm", tag, "pytest", "--version")
    docker("image", "rm", tag)
    assert layers(image) == tested[: len(layers(image))]
    assert version.startswith("pytest ")
