"""The events of a rehearsal: what a CI service runs pipelines for, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..environments import healthcheck
from ..errors import ExitCode, TaskError
from ..project import git
from .pipeline import Event, PipelineRun
from .rehearsal import Workspace

BRANCH = "rehearsal/change"
TAGS = ("v1.0.0-rehearsal", "v1.0.1-rehearsal")
EVENTS = ("branch", "main", "tag", "rollback")


def select(names: Sequence[str]) -> list[str]:
    """Return the events to rehearse, in order; all by default. Refuses an unknown one."""
    for name in names:
        if name not in EVENTS:
            raise TaskError(f"unknown event {name!r}", f"use {', '.join(EVENTS)}", ExitCode.REFUSED)
    chosen = {*names, *(["tag"] if "rollback" in names else [])}
    return [name for name in EVENTS if not names or name in chosen]


def run(workspace: Workspace, events: Sequence[str]) -> list[str]:
    """Rehearse the events until one fails. Returns the error messages."""
    try:
        if "branch" in events:
            _merge_request(workspace)
        if "main" in events:
            _deploy(workspace, workspace.main, "CI_COMMIT_BRANCH")
        if "tag" in events:
            first = _deploy(workspace, TAGS[0], "CI_COMMIT_TAG")
        if "rollback" in events:
            workspace.git("commit", "--quiet", "--allow-empty", "--message", "Another release")
            second = _deploy(workspace, TAGS[1], "CI_COMMIT_TAG")
            workspace.verify(_start_manual(workspace, second, "rollback"), first)
    except TaskError as error:
        return [str(error)]
    return []


def _merge_request(workspace: Workspace) -> None:
    """Run a merge request's pipeline, then stop its dynamic environment, if it has one."""
    request = {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_IID": "1"}
    run = workspace.run(Event("merge request", _ref(workspace, BRANCH) | request))
    if not run.deployed:
        return
    workspace.verify(run, run)
    _start_manual(workspace, run, "stop")
    for deploy in run.deployed:
        if not healthcheck.ask(deploy["DEPLOY_URL"], "").failure:
            raise TaskError(f"{deploy['DEPLOY_URL']} still answers after stop", "see the logs")


def _deploy(workspace: Workspace, name: str, variable: str) -> PipelineRun:
    """Run the pipeline of a branch or tag, which has its name in a variable of its own."""
    run = workspace.run(Event(name, _ref(workspace, name) | {variable: name}))
    workspace.verify(run, run)
    return run


def _start_manual(workspace: Workspace, run: PipelineRun, prefix: str) -> PipelineRun:
    """Start the optional manual job of a pipeline whose name begins with a prefix."""
    manual = [job.name for job in run.jobs if job.manual and job.optional]
    name = next((name for name in manual if name.startswith(prefix)), "")
    if not name and not workspace.ctx.config.run.dry:
        raise TaskError(f"{run.event.name}: no manual job {prefix}...", "see its CI file")
    return workspace.run(replace(run.event, name=prefix, only=name))


def _ref(workspace: Workspace, name: str) -> dict[str, str]:
    """Return GitLab's predefined variables of a branch or tag."""
    variables = {"CI_COMMIT_REF_NAME": name, "CI_COMMIT_REF_SLUG": git.slug(name)}
    return variables | {"CI_DEFAULT_BRANCH": workspace.main}
