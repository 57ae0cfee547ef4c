"""GitHub's pipeline runs with act: which jobs of the file each event starts, with which tasks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from invoke import Config, Context

from tasks.lib.errors import TaskError
from tasks.lib.rehearsal import act, events
from tasks.lib.rehearsal.pipeline import BROKEN, PASSED, WARNED, Event, Job
from tests.testbed import clones
from tests.testbed.commands import ROOT, git

# Stands for every task: it prints what it was asked and knows, and answers as the tasks do.
INV = """\
#!/bin/sh
echo "inv $* at $CI_REGISTRY for $CI_REGISTRY_IMAGE$INVOKE_REGISTRY_IMAGE in $INVOKE_RUNTIME_CONFIG"
case $1 in
    build) mkdir reports; echo IMAGE_DIGEST=sha256:1 >>"$GITHUB_OUTPUT" ;;
    deploy) test "$SSH_PRIVATE_KEY" && echo DEPLOY_URL=http://127.0.0.1 >>"$GITHUB_OUTPUT" ;;
    quality) exit "$(cat fails)" ;;
    audit) exit 1 ;;
esac
"""
GIVEN = {
    "CI_REGISTRY": "localhost:5000",
    "CI_REGISTRY_IMAGE": "localhost:5000/shop",
    "CI_REGISTRY_PASSWORD": "it's a $secret",  # pragma: allowlist secret
    "SSH_PRIVATE_KEY": "-----BEGIN\nAAAA\n-----END\n",
    "INVOKE_RUNTIME_CONFIG": "/lab/invoke.yaml",
}
REF = {"CI_COMMIT_REF_NAME": "main", "CI_DEFAULT_BRANCH": "main"}
TAG = REF | {"CI_COMMIT_REF_NAME": events.TAGS[0], "CI_COMMIT_TAG": events.TAGS[0]}
REQUEST = REF | {"CI_COMMIT_REF_NAME": "change", "CI_MERGE_REQUEST_IID": "7"}
EVERY = ["audit", "build", "check", "quality", "test"]
STAGING = [f"{name}-staging" for name in ("deploy", "preflight", "release", "smoke")]
PROD = [f"{name}-prod" for name in ("deploy", "plan", "preflight", "release", "smoke")]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> act.Runner:
    """A repository with the workflows of this one, and with a stand-in for ./inv."""
    ctx = Context(Config())
    act.install(ctx)
    root = tmp_path_factory.mktemp("act") / "clone"
    shutil.copytree(ROOT / ".github", root / ".github")
    (root / "inv").write_text(INV)
    (root / "inv").chmod(0o755)
    (root / "fails").write_text("0")
    git(root, "init", "--quiet", "--initial-branch=main")
    clones.commit(root, "a clone")
    made = act.Runner(ctx, root)
    made.set_variables(GIVEN)
    return made


def ran(jobs: list[Job]) -> list[str]:
    return sorted(job.name for job in jobs if job.state)


@pytest.mark.parametrize(
    ("event", "names", "by_hand"),
    [
        (Event("main", REF | {"CI_COMMIT_BRANCH": "main"}), EVERY + STAGING, []),
        (Event("a tag", TAG), EVERY + PROD, ["rollback-prod"]),
        (Event("a request", REQUEST), [*EVERY, "deploy-review"], ["stop-review"]),
        (Event("stop", REQUEST, only="stop-review"), ["stop-review"], []),
        (Event("rollback", TAG, only="rollback-prod"), ["rollback-prod"], []),
    ],
    ids=lambda value: value.name if isinstance(value, Event) else "",
)
def test_each_event_runs_its_jobs(runner, event, names, by_hand):
    jobs = runner.run(event)
    assert ran(jobs) == sorted(names)
    assert [job.name for job in jobs if not job.state] == by_hand
    states = {job.name: job.state for job in jobs if job.state}
    assert states.pop("audit", WARNED) == WARNED
    assert {*states.values()} == {PASSED}


def test_jobs_get_the_digest_the_secrets_and_the_registry_of_the_variables(runner):
    jobs = {job.name: job for job in runner.run(Event("a tag", TAG))}
    assert jobs["build"].dotenv == {"IMAGE_DIGEST": "sha256:1"}
    assert jobs["deploy-prod"].dotenv == {"DEPLOY_URL": "http://127.0.0.1"}
    told, log = jobs["release-prod"].log[-2:]
    assert told == "$ ./inv release --env=$CI_ENVIRONMENT_NAME --ref=$IMAGE_DIGEST"
    expected = "at localhost:5000 for localhost:5000/shop in /lab/invoke.yaml"
    assert log == f"inv release --env=prod --ref=sha256:1 {expected}"


def test_after_a_job_that_fails_nothing_is_released(runner):
    file = Path(runner.clone, "fails")
    file.write_text("3")
    jobs = {job.name: job.state for job in runner.run(Event("a tag", TAG))}
    file.write_text("0")
    assert (jobs["quality"], jobs["test"]) == (BROKEN, PASSED)
    assert not {"release-prod", "deploy-prod", "smoke-prod"} & {*jobs}


def test_a_file_that_github_would_not_take_fails_with_the_reason(runner):
    file = Path(runner.clone, act.FILE)
    good = file.read_text()
    file.write_text(good.replace("secrets: inherit", "secrests: inherit"))
    try:
        with pytest.raises(TaskError, match=r"(?s)act runs no job of .*secrests"):
            runner.run(Event("a tag", TAG))
    finally:
        file.write_text(good)
