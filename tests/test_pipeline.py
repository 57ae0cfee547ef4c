"""The pipeline files are thin: each job is one task that exists. GitLab and GitHub take them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from invoke.exceptions import ParseError

from docs import pipeline
from tests.test_readme import parse

ROOT = Path(__file__).resolve().parents[1]
GITHUB = ROOT / ".github/workflows/ci.yml"
HEAD, BODY = pipeline.read(pipeline.FILE.read_text("utf-8"))
JOBS = pipeline.jobs(BODY)
WORKFLOW = yaml.safe_load(GITHUB.read_text("utf-8"))


def check(line: Any) -> None:
    """See that a script is one call of ./inv, with tasks and options that exist."""
    assert isinstance(line, str), "several lines"
    words = list(shlex.shlex(line, posix=True, punctuation_chars=True))
    assert not [word for word in words if set(word) <= set("();<>|&\n`")], "a shell's work"
    assert not set("`\n") & set(line) and "$(" not in line, "a shell's work"
    command, _, rest = line.partition(" ")
    assert command == "./inv", "no task"
    parse(rest)


def github_steps() -> list[dict[str, Any]]:
    return [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


def schema(name: str, *files: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema", name]
    return subprocess.run([*command, *files], capture_output=True, text=True)


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_one_task(name):
    check(JOBS[name]["script"])
    assert not {"before_script", "after_script"} & {*JOBS[name], *BODY["default"], *BODY}


@pytest.mark.parametrize("step", [step for step in github_steps() if "run" in step], ids=str)
def test_a_step_is_one_task(step):
    check(step["run"])


def test_a_foreign_action_is_pinned_by_its_commit():
    used = [step["uses"] for step in github_steps() if "run" not in step]
    assert used
    assert [each for each in used if len(each.partition("@")[2]) != 40] == []


@pytest.mark.parametrize(
    "line",
    [
        "docker build .",
        "./inv build && rm -rf reports",
        "./inv build; true",
        "./inv build > log",
        "./inv build --ref=$(git rev-parse HEAD)",
        "./inv build --ref=`git rev-parse HEAD`",
        "./inv build\nrm -rf reports",
        ["./inv build", "./inv test"],
    ],
)
def test_what_is_more_than_one_task_is_noticed(line):
    with pytest.raises(AssertionError):
        check(line)


@pytest.mark.parametrize("line", ["./inv biuld", "./inv build --psuh", "./inv build nothing"])
def test_a_task_that_does_not_exist_is_noticed(line):
    with pytest.raises(ParseError):
        check(line)


def test_gitlab_takes_the_file(tmp_path):
    files = [tmp_path / "head.json", tmp_path / "body.json"]
    for file, document in zip(files, (HEAD, BODY), strict=True):
        file.write_text(json.dumps(document))
    done = schema("vendor.gitlab-ci", *files)
    assert done.returncode == 0, done.stdout


def test_what_gitlab_does_not_take_is_noticed(tmp_path):
    file = tmp_path / "body.json"
    file.write_text(json.dumps({**BODY, "build": {**BODY["build"], "retry": "often"}}))
    assert schema("vendor.gitlab-ci", file).returncode == 1


def test_github_takes_the_file():
    done = schema("vendor.github-workflows", GITHUB)
    assert done.returncode == 0, done.stdout


def test_the_files_are_short():
    for file in (pipeline.FILE, GITHUB):
        assert len(file.read_text("utf-8").splitlines()) < 100


def running(task: str) -> dict[str, dict[str, Any]]:
    """The jobs that run a task, by name."""
    return {name: job for name, job in JOBS.items() if job["script"].split()[1] == task}


def test_what_is_tested_released_and_deployed_is_what_build_handed_on():
    assert JOBS["build"]["artifacts"]["reports"]["dotenv"] in JOBS["build"]["script"]
    assert [each["script"] for each in running("test").values()] == [
        "./inv test --image=$IMAGE_DIGEST"
    ]
    later = running("release") | running("deploy")
    assert len(later) >= 4
    assert [name for name, job in later.items() if "--ref=$IMAGE_DIGEST" not in job["script"]] == []


def test_what_changes_an_environment_is_never_cut_off():
    changing = running("release") | running("deploy") | running("rollback")
    assert len(changing) >= 5
    assert [name for name, job in changing.items() if job.get("interruptible") is not False] == []
    assert BODY["default"]["interruptible"] is True


def test_one_job_at_a_time_has_to_do_with_an_environment():
    there = {name: job for name, job in JOBS.items() if "environment" in job}
    assert len(there) >= 9
    assert [
        name for name, job in there.items() if job["resource_group"] != job["environment"]["name"]
    ] == []


def test_a_job_that_only_looks_is_no_deployment():
    looking = {name: job for name, job in JOBS.items() if name.startswith(("pre", "plan", "smoke"))}
    assert {job["environment"]["action"] for job in looking.values()} == {"verify"}


def test_only_a_failing_runner_is_tried_again():
    assert not {"always", "script_failure", "unknown_failure"} & {*BODY["default"]["retry"]["when"]}


def test_the_picture_in_the_readme_is_that_of_the_file():
    text = pipeline.README.read_text("utf-8")
    drawn = text.split(pipeline.BEGIN)[1].split(pipeline.END)[0]
    assert drawn == pipeline.section(), "run: .inv/venv/bin/python docs/pipeline.py"
