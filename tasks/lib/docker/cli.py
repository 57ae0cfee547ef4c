"""The one way to start docker; honours --echo and --dry."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO, cast

from invoke import Context

from .. import console, process
from ..errors import TaskError, explain_docker, last_line
from . import dry_run

# Variables for docker, such as DOCKER_HOST.
Env = Mapping[str, str]

STAND_IN = [sys.executable, dry_run.__file__]
# The exit status of a command that timed out, as timeout(1) has it.
TIMED_OUT = 124


class DockerError(TaskError):
    """A docker command failed."""

    def __init__(self, command: Sequence[str], status: int, stderr: str, stdout: str = "") -> None:
        super().__init__(*explain_docker(command, status, f"{stdout}\n{stderr}"))
        self.status, self.stderr = status, stderr
        self.reason = last_line(stderr) or f"exit status {status}"


def run(
    ctx: Context,
    *words: str,
    env: Env | None = None,
    text: str = "",
    reads: bool = False,
    merged: bool = False,
    timeout: float | None = None,
    inherits: Collection[str] | None = None,
) -> str:
    """Return what a docker command writes to stdout. Raises DockerError when it fails.

    Args:
        text: the command's stdin.
        reads: the command changes nothing, and so also runs under --dry.
        merged: return stderr too, in the order of writing.
        timeout: seconds after which the command is killed.
        inherits: the only variables of this process that the command gets; None for all of them.
    """
    command = printed([*call(ctx, env, reads), *words])
    stderr = subprocess.STDOUT if merged else subprocess.PIPE
    own = {key: v for key, v in os.environ.items() if inherits is None or key in inherits}
    try:
        done = subprocess.run(
            command, input=text.encode(), stdout=subprocess.PIPE, stderr=stderr, timeout=timeout,
            env=own,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise DockerError(command, TIMED_OUT, f"timed out after {timeout:g} s") from None
    output, errors = (part.decode(errors="replace") for part in (done.stdout, done.stderr or b""))
    if done.returncode:
        raise DockerError(command, done.returncode, output if merged else errors, output)
    return output.removesuffix("\n")


def feed(
    ctx: Context, *words: str, write: Callable[[BinaryIO], None], env: Env | None = None
) -> str:
    """Return the few lines of a docker command whose stdin is written piece by piece.

    Raises DockerError when it fails; what `write` raises, after ending the command.
    """
    command = printed([*call(ctx, env), *words])
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as child:
        try:
            # A command that has failed reads no further.
            with suppress(BrokenPipeError):
                write(cast(BinaryIO, child.stdin))
        except BaseException:
            child.kill()
            raise
        output, errors = (part.decode(errors="replace") for part in child.communicate())
    if child.returncode:
        raise DockerError(command, child.returncode, errors, output)
    return output


def stream(ctx: Context, *words: str, env: Env | None = None) -> int:
    """Run a docker command with this terminal, and return its exit status; Ctrl-C ends it."""
    return process.wait(popen(ctx, *words, env=env))


def popen(
    ctx: Context, *words: str, env: Env | None = None, **streams: Any
) -> subprocess.Popen[bytes]:
    """Start a docker command and return its process; the streams are as for subprocess.Popen."""
    return subprocess.Popen(printed([*call(ctx, env), *words]), **streams)


def call(ctx: Context, env: Env | None = None, reads: bool = False) -> list[str]:
    """Return the words that start docker, behind the stand-in's under --echo and --dry.

    Raises TaskError when docker is not installed.
    """
    words, options = ["docker"], ctx.config.run
    if env:
        words = ["env", *(f"{key}={value}" for key, value in env.items()), *words]
    if options.dry and not reads:
        return [*STAND_IN, "dry", *words]
    if not shutil.which("docker"):
        raise TaskError("docker not found", "install Docker, or add --engine=host")
    return [*STAND_IN, "echo", *words] if options.echo and not options.dry else words


def printed(command: list[str]) -> list[str]:
    """Return a command, after printing it if the stand-in is to echo it or to leave it out."""
    if command[:2] == STAND_IN:
        mode, *words = command[2:]
        if mode == "echo" or not dry_run.runs(mode, words):
            console.say(console.colour(shlex.join(words), 1))
    return command
