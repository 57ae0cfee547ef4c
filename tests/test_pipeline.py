"""The pipeline files are thin: each job is one task that exists. GitLab and GitHub take them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from invoke import Config, Context
from invoke.exceptions import ParseError

from docs import pipeline
from tasks.lib.messages.receivers import MAIL, SIGNATURE
from tasks.lib.rehearsal import gitlab_ci_local
from tasks.lib.rehearsal.pipeline import Event
from tests.test_readme import parse
from tests.testbed import clones
from tests.testbed.commands import git, output

ROOT = Path(__file__).resolve().parents[1]
GITHUB = [ROOT / f".github/workflows/{name}.yml" for name in ("ci", "pipeline")]
HEAD, BODY = pipeline.read(pipeline.FILE.read_text("utf-8"))
JOBS = pipeline.jobs(BODY)
COMPONENT = ROOT / "templates/pipeline.yml"
CALLER, WORKFLOW = (yaml.safe_load(file.read_text("utf-8")) for file in GITHUB)


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


def github_lines(name: str) -> list[str]:
    return [step["run"] for step in WORKFLOW["jobs"][name]["steps"] if "run" in step]


def schema(name: str, *files: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema", name]
    return subprocess.run([*command, *files], capture_output=True, text=True)


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_one_task(name):
    check(JOBS[name]["script"])
    assert not {"before_script", "after_script"} & {*JOBS[name], *BODY["default"], *BODY}


@pytest.mark.parametrize("name", WORKFLOW["jobs"])
def test_a_job_of_github_is_one_task(name):
    (line,) = github_lines(name)
    check(line)


def test_both_services_run_the_same_jobs_with_the_same_tasks():
    ours = {name.replace(":", "-"): job["script"] for name, job in JOBS.items()}
    output = {
        line: re.sub(r"=reports/\w+[.]env", "=$GITHUB_OUTPUT", line) for line in ours.values()
    }
    assert {name: github_lines(name) for name in WORKFLOW["jobs"]} == {
        name: [output[line]] for name, line in ours.items()
    }


def test_both_services_take_the_same_environments():
    inputs = WORKFLOW[True]["workflow_call"]["inputs"]
    given = HEAD["spec"]["inputs"]
    assert {name: inputs[name]["default"] for name in ("staging", "prod", "review")} == {
        name: given[name]["default"] for name in ("staging", "prod", "review")
    }


def test_what_changes_an_environment_of_github_has_its_turn_and_its_rules():
    for name, job in WORKFLOW["jobs"].items():
        verb, _, place = name.partition("-")
        if verb in ("deploy", "rollback") and place != "review":
            named = f"${{{{ inputs.{place} }}}}"
            assert (job["concurrency"], job["environment"]["name"]) == (named, named)
        elif place == "prod":
            assert job.get("environment", {}).get("name") in (None, "${{ inputs.looking }}")
    assert "cancel-in-progress" not in str([CALLER, WORKFLOW])


def test_github_keeps_the_key_of_the_servers_from_the_tests():
    own = {name for name, job in WORKFLOW["jobs"].items() if "SSH" in str(job)}
    assert own and not own & {"build", "check", "quality", "audit", "test"}
    assert "SSH" not in str(WORKFLOW["env"])


def test_what_reaches_servers_on_github_can_sign_and_mail_its_messages():
    for job in WORKFLOW["jobs"].values():
        given = {name: job.get("env", {}).get(name) for name in (SIGNATURE, MAIL)}
        wanted = {
            name: f"${{{{ secrets.{name} }}}}" if "SSH" in str(job) else None for name in given
        }
        assert given == wanted


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


def test_the_component_is_the_file_with_all_of_its_inputs():
    head, body = yaml.safe_load_all(COMPONENT.read_text("utf-8"))
    assert head["spec"]["inputs"] == HEAD["spec"]["inputs"]
    passed = {name: f"$[[ inputs.{name} ]]" for name in HEAD["spec"]["inputs"]}
    assert body == {"include": [{"local": pipeline.FILE.name, "inputs": passed}]}


@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")
@pytest.mark.parametrize("inputs", [{}, {"gate": "on_success", "staging": "test", "review": ""}])
def test_the_component_gives_the_jobs_of_the_file(tmp_path, inputs):
    gitlab_ci_local.install(Context(Config()))
    for file in (pipeline.FILE, COMPONENT):
        copy = tmp_path / file.relative_to(ROOT)
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(file, copy)
    address = "$CI_SERVER_FQDN/$CI_PROJECT_PATH/pipeline@$CI_COMMIT_SHA"
    kinds = {"component": address, "local": pipeline.FILE.name}
    for kind, value in kinds.items():
        text = yaml.safe_dump({"include": [{kind: value, "inputs": inputs}]})
        (tmp_path / f"{kind}.yml").write_text(text)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "remote", "add", "origin", "https://gitlab.com/example/shop.git")
    clones.commit(tmp_path, "a component")
    made, ours = (preview(tmp_path, f"{kind}.yml") for kind in kinds)
    assert {*JOBS} < {*made}
    assert made == ours
    assert made["deploy:prod"]["rules"][0]["when"] == inputs.get("gate", "manual")


@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")
def test_a_schedule_that_names_a_job_runs_that_one_and_a_push_runs_it_never(tmp_path):
    gitlab_ci_local.install(Context(Config()))
    page = (ROOT / "docs/deploy.md").read_text("utf-8")
    (more,) = re.findall(r"```yaml\n(drill:prod:\n.*?)```", page, re.S)
    (tmp_path / pipeline.FILE.name).write_text(pipeline.FILE.read_text("utf-8") + more)
    check(yaml.safe_load(more)["drill:prod"]["script"])
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "remote", "add", "origin", "https://gitlab.com/example/shop.git")
    clones.commit(tmp_path, "a pipeline")
    refs = {"CI_COMMIT_BRANCH": "main"}, {"CI_COMMIT_TAG": "v1.0.0"}
    for ref in refs:
        assert planned(tmp_path, **ref, SCHEDULED_JOB="status") == {"status:prod"}
        assert planned(tmp_path, **ref, SCHEDULED_JOB="drill") == {"drill:prod"}
        assert planned(tmp_path, **ref, SCHEDULED_JOB="no job") == set()
    branch, tag = (planned(tmp_path, **ref) for ref in refs)
    assert branch >= {"build", "test", "deploy:staging"} and "status:prod" not in branch
    assert tag >= {"build", "test", "deploy:prod"} and "status:prod" not in tag


def planned(root: Path, **variables: str) -> set[str]:
    """Return the jobs that gitlab-ci-local would run."""
    words = [gitlab_ci_local.TOOL, "--list-json", "--no-color", *Event("", variables).options]
    text = output(words, root)
    jobs = json.loads(text[text.index("[\n") :])
    return {job["name"] for job in jobs if job["when"] != "never"}


def preview(root: Path, file: str) -> dict[str, Any]:
    """Return a pipeline file as gitlab-ci-local has it with all that it includes."""
    words = [gitlab_ci_local.TOOL, "--preview", "--no-color", f"--file={file}"]
    return yaml.safe_load(output(words, root).partition("---\n")[2])


def test_github_takes_the_file():
    done = schema("vendor.github-workflows", *GITHUB)
    assert done.returncode == 0, done.stdout


def test_the_files_are_short():
    for file in (pipeline.FILE, *GITHUB):
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
