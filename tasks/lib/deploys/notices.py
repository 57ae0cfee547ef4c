"""What others learn of a deploy: the project's hooks run, and the team gets messages."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from invoke import Context

from ..environments import dynamic
from ..environments.connection import Target
from ..environments.records import UNDONE, Record
from ..environments.status import Status
from ..errors import ExitCode, TaskError, explain
from ..messages import message, receivers, sentry
from ..messages.gitlab import VARIABLE, GitLab
from ..messages.message import Message
from ..messages.outbox import ALL_ATTEMPTS, Outbox
from ..messages.receivers import Receiver
from ..messages.sentry import Sentry
from ..project.settings import read_settings
from . import hooks

# A job of GitLab CI that has it is a deployment by itself, and ends as the task does.
JOB = "CI_ENVIRONMENT_NAME"


class Notices:
    """Informs hooks and receivers how a deploy goes; neither can make it fail."""

    def __init__(self, target: Target, env: Mapping[str, str] = os.environ) -> None:
        self._target = target
        self._outbox = Outbox(_receivers(target, env))

    def begun(self, record: Record) -> None:
        """Say that it began."""
        self._outbox.put(_message(self._target, message.BEGUN, record))

    def done(self, record: Record) -> None:
        """Say that it runs; returns when the messages are delivered, or late."""
        hooks.attempt(self._target, hooks.POST, record)
        self._end(_message(self._target, message.DONE, record))

    def failed(self, record: Record, why: str) -> None:
        """Say that it failed, and whether it was undone; returns as done does."""
        hooks.attempt(self._target, hooks.FAILURE, record, why)
        event = message.UNDONE if record.state == UNDONE else message.FAILED
        self._end(_message(self._target, event, record, why))

    def _end(self, last: Message) -> None:
        self._outbox.put(last)
        # Ctrl-C ends the wait, and changes nothing about how the deploy ended.
        with suppress(KeyboardInterrupt):
            self._outbox.close()


@contextmanager
def of_status(
    ctx: Context, name: str, notify: bool, env: Mapping[str, str] = os.environ
) -> Iterator[Callable[[Status], bool]]:
    """Give what sends the problems of a status, and returns whether every receiver knows them.

    It is given before anything is connected to: if no status can be read, why not is sent as the
    problem, and raised on. Without `notify` nothing is sent, and no receiver knows.

    Raises TaskError with exit status 2, and sends nothing, if the settings are wrong, do not have
    the environment, or name no receiver: the warning of a job on a schedule would not be read.
    """
    if not notify:
        yield lambda found: False
        return
    settings = read_settings(ctx)
    url = dynamic.addressed(settings.environment(name), name).url
    given = receivers.named(settings.messages, env)
    if not given:
        what = "--notify has no receiver: messages in invoke.yaml names no chat, webhook or mail"
        hint = "add one: docs/deploy.md#messages"
        raise TaskError(what, hint, ExitCode.REFUSED)
    seen = False

    def send(found: Status) -> bool:
        nonlocal seen
        seen = True
        return _send_problems(given, name, found.site.url, found.problems)

    try:
        yield send
    except Exception as error:
        if not seen:
            lines = explain(error).split("\ninv: ")
            _send_problems(given, name, url, [f"its status is unknown: {lines[0]}", *lines[1:]])
        raise


def _send_problems(given: Sequence[Receiver], name: str, url: str, problems: Sequence[str]) -> bool:
    """Send the problems of an environment, if there are some; return whether all receivers know."""
    outbox = Outbox(given)
    if problems:
        outbox.put(Message(message.PROBLEM, "status", name, url, why="; ".join(problems)))
    return outbox.close(ALL_ATTEMPTS)


def _receivers(target: Target, env: Mapping[str, str]) -> list[Receiver]:
    settings = target.settings
    found = receivers.named(settings.messages, env)
    if settings.messages.gitlab and JOB not in env:
        token = env.get(VARIABLE, "")
        found.append(GitLab(settings.messages.gitlab, token, settings.registry.main))
    if settings.messages.sentry:
        found.append(Sentry(settings.messages.sentry, env.get(sentry.VARIABLE, "")))
    return found


def _message(target: Target, event: str, record: Record, why: str = "") -> Message:
    return Message(
        event,
        record.kind,
        target.name,
        target.environment.url,
        record.number,
        record.image,
        record.revision,
        record.by,
        why or record.why,
        record.seconds,
    )
