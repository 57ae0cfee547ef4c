"""What GitLab runs the pipeline for, played in a rehearsal one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..environments import healthcheck
from ..errors import ExitCode, TaskError
from ..project import git
from .gitlab_ci_local import Event

if TYPE_CHECKING:
    from .rehearsal import PipelineRun, Workspace

BRANCH = "rehearsal/change"
TAGS = ("v1.0.0-rehearsal", "v1.0.1-rehearsal")
EVENTS = ("branch", "main", "tag", "rollback")


def wanted(names: Sequence[str]) -> list[str]:
    """The events to rehearse, in their order. Raises TaskError for an unknown one."""
    for name in names:
        if name not in EVENTS:
            raise TaskError(f"unknown event {name!r}", f"use {', '.join(EVENTS)}", ExitCode.REFUSED)
    chosen = {*names, *(["tag"] if "rollback" in names else [])}
    return [name for name in EVENTS if not names or name in chosen]


def perform(stage: Workspace, events: Sequence[str]) -> list[str]:
    """Play the events, one after another, until something goes wrong. Returns what did."""
    try:
        if "branch" in events:
            _merge_request(stage)
        if "main" in events:
            _default_branch(stage)
        if "tag" in events:
            first = _tag(stage, TAGS[0])
        if "rollback" in events:
            stage.git("commit", "--quiet", "--allow-empty", "--message", "Another release")
            second = _tag(stage, TAGS[1])
            stage.verify(_press(stage, second, "rollback"), first)
    except TaskError as error:
        return [str(error)]
    return []


def _merge_request(stage: Workspace) -> None:
    """The pipeline of a merge request; its own environment, if it has one, is removed again."""
    request = {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_IID": "1"}
    act = stage.play(Event("merge request", _ref(stage, BRANCH) | request))
    if not act.deployed:
        return
    stage.verify(act, act)
    _press(stage, act, "stop")
    for each in act.deployed:
        if not healthcheck.probe(each["DEPLOY_URL"]):
            raise TaskError(f"{each['DEPLOY_URL']} still answers", "see the logs")


def _default_branch(stage: Workspace) -> None:
    branch = {"CI_COMMIT_BRANCH": stage.main}
    act = stage.play(Event(stage.main, _ref(stage, stage.main) | branch))
    stage.verify(act, act)


def _tag(stage: Workspace, name: str) -> PipelineRun:
    act = stage.play(Event(name, _ref(stage, name) | {"CI_COMMIT_TAG": name}))
    stage.verify(act, act)
    return act


def _press(stage: Workspace, act: PipelineRun, prefix: str) -> PipelineRun:
    """Start a job that the pipeline goes on without: the one whose name begins so."""
    buttons = [job.name for job in act.jobs if job.hand and job.optional]
    name = next((name for name in buttons if name.startswith(prefix)), "")
    if not name and not stage.ctx.config.run.dry:
        raise TaskError(f"{act.event.name} has no job {prefix}...", "see .gitlab-ci.yml")
    return stage.play(replace(act.event, name=prefix, only=name))


def _ref(stage: Workspace, name: str) -> dict[str, str]:
    """What GitLab says of a branch or tag."""
    slug = {"CI_COMMIT_REF_NAME": name, "CI_COMMIT_REF_SLUG": git.slug(name)}
    return slug | {"CI_DEFAULT_BRANCH": stage.main}
