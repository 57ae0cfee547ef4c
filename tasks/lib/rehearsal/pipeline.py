"""A pipeline: the event that triggers it, its jobs, and one run of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .. import console

PASSED, WARNED, BROKEN = "passed", "warning", "failed"
# How a job ended, by the word with which gitlab-ci-local marks it.
ENDS = {"FAIL": BROKEN, "WARN": WARNED}


@dataclass(frozen=True)
class Event:
    """What triggers a pipeline, and GitLab's predefined variables that describe it to the jobs.

    Args:
        only: the manual job to start in an existing pipeline; empty for a whole pipeline.
    """

    name: str
    variables: Mapping[str, str]
    only: str = ""

    @property
    def options(self) -> list[str]:
        """The event as options of gitlab-ci-local."""
        options = [f"--variable={key}={value}" for key, value in self.variables.items()]
        branch = "CI_COMMIT_BRANCH" in self.variables
        return options + ([] if branch else ["--unset-variable=CI_COMMIT_BRANCH"])


@dataclass
class Job:
    """A job of a pipeline, and how it ended.

    Args:
        manual: it waits until it is started by hand.
        optional: it may fail, or wait, without blocking the pipeline.
        state: passed, warning, failed, or empty when it did not run.
        dotenv: the variables that it passes to later jobs.
    """

    name: str
    stage: str
    manual: bool = False
    optional: bool = False
    state: str = ""
    seconds: float = 0
    log: list[str] = field(default_factory=list)
    dotenv: dict[str, str] = field(default_factory=dict)

    def end(self, state: str, seconds: float) -> None:
        """Record how it ended, and print that."""
        self.state, self.seconds = state, seconds
        console.say(f"  {self.state:8} {self.name} ({self.seconds:.0f} s)")


@dataclass
class PipelineRun:
    """One run of an event's pipeline: its commit and its jobs."""

    event: Event
    commit: str
    jobs: Sequence[Job]

    @property
    def broken(self) -> list[Job]:
        """The jobs that failed and block the pipeline."""
        return [job for job in self.jobs if job.state == BROKEN]

    @property
    def deployed(self) -> list[dict[str, str]]:
        """The dotenv variables of its deploy jobs: the URL and the image of each deploy."""
        return [job.dotenv for job in self.jobs if "DEPLOY_URL" in job.dotenv]

    @property
    def digest(self) -> str:
        """The digest of the image that its build job pushed; empty without one."""
        digests = (job.dotenv.get("IMAGE_DIGEST", "") for job in self.jobs)
        return next(filter(None, digests), "")
