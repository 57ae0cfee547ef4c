"""Stands in for docker under --echo and --dry: runs a command that was printed, or leaves it out.

A script, called as `python dry_run.py echo|dry docker ...`. Under dry, commands that only read
still run, since what comes next depends on what they find. The caller prints the command: what
this script writes may be captured.
"""

import os
import sys
from collections.abc import Sequence

READING = {"config", "images", "info", "inspect", "list", "logs", "ls", "port", "ps", "version"}
# Options of docker, compose and buildx that come before the verb and take a value.
VALUED = {
    *("--config", "--context", "--host", "-H", "--file", "-f", "--profile", "--env-file"),
    *("--project-name", "-p", "--project-directory", "--log-level", "--progress"),
}
# Verbs with verbs of their own.
GROUPS = {
    *("buildx", "compose", "container", "context", "image", "imagetools", "manifest", "network"),
    *("node", "plugin", "secret", "service", "stack", "swarm", "system", "volume"),
}


def only_reads(words: Sequence[str]) -> bool:
    """Return whether a docker command, given without the word docker, changes nothing."""
    skip, first = False, True
    for word in words:
        if skip or word.startswith("-"):
            skip = not skip and word in VALUED
            continue
        # `docker config` is a group; `docker compose config` reads.
        if word not in GROUPS and not (first and word == "config"):
            return word in READING
        first = False
    return False


def runs(mode: str, command: Sequence[str]) -> bool:
    """Return whether a command is run: under dry, only one that reads is."""
    return mode == "echo" or only_reads(command[command.index("docker") + 1 :])


if __name__ == "__main__":
    mode, *command = sys.argv[1:]
    if runs(mode, command):
        os.execvp(command[0], command)  # noqa: S606
