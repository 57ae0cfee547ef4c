"""Stands in for `docker` under --echo and --dry: prints each command, then runs it, or does not.

A script, called as `python echo.py echo|dry docker ...`. Under dry, commands that only look still
run, since what comes next depends on what they find.
"""

from __future__ import annotations

import os
import shlex
import sys

LOOKING = {"config", "images", "info", "inspect", "logs", "ls", "port", "ps", "version"}
# Options of docker, compose and buildx that come before the verb and take a value.
VALUED = {"--config", "--context", "--host", "-H", "--file", "-f", "--profile", "--env-file"} | {
    "--project-name",
    "-p",
    "--project-directory",
    "--log-level",
}
# Verbs with verbs of their own.
GROUPS = {"buildx", "compose", "container", "context", "image", "imagetools", "manifest"} | {
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "stack",
    "swarm",
    "system",
    "volume",
}


def only_looks(words: list[str]) -> bool:
    """Whether a docker command, given without the word docker, changes nothing."""
    skip = False
    for word in words:
        if skip or word.startswith("-"):
            skip = not skip and word in VALUED
        elif word not in GROUPS:
            return word in LOOKING
    return False


def main(mode: str, command: list[str]) -> None:
    """Print the command; then become it, unless mode is dry and it would change something."""
    text = shlex.join(command)
    print(f"\033[1;37m{text}\033[0m" if sys.stderr.isatty() else text, file=sys.stderr, flush=True)
    words = command[command.index("docker") + 1 :]
    if mode == "echo" or only_looks(words):
        os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
