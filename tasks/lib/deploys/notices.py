"""What others learn of a deploy: the project's hooks run, and the team gets messages."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress

from ..environments.connection import Target
from ..environments.records import UNDONE, Record
from ..errors import ExitCode, TaskError
from ..messages import message, receivers, sentry
from ..messages.gitlab import VARIABLE, GitLab
from ..messages.message import Message
from ..messages.outbox import Outbox
from ..messages.receivers import Receiver
from ..messages.sentry import Sentry
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


def problems(target: Target, found: Sequence[str], env: Mapping[str, str] = os.environ) -> None:
    """Send what is wrong with an environment. Raises TaskError if there is no receiver."""
    given = receivers.named(target.settings.messages, env)
    if not given:
        hint = "add the section messages: docs/deploy.md"
        raise TaskError("invoke.yaml names no receiver of messages", hint, ExitCode.REFUSED)
    if found:
        outbox, where = Outbox(given), (target.name, target.environment.url)
        outbox.put(Message(message.PROBLEM, "status", *where, why="; ".join(found)))
        outbox.close()


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
