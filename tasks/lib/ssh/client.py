"""The OpenSSH client, as a run of a task uses it: its configuration, keys and known hosts."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from .. import files
from ..errors import ExitCode, TaskError, last_line
from . import variables

# Seconds to connect, and to receive the banner.
CONNECT = 10
# Seconds between two checks that a server answers, and how many in a row it may miss.
ALIVE, MISSED = 5, 3
# What holds on every hop, whatever the user's configuration says: the first value counts.
OPTIONS = f"""
StrictHostKeyChecking yes
UpdateHostKeys no
ConnectTimeout {CONNECT}
ServerAliveInterval {ALIVE}
ServerAliveCountMax {MISSED}
RequestTTY no
RemoteCommand none
ClearAllForwardings yes
PermitLocalCommand no
ForwardAgent no
ForwardX11 no
"""
# What ssh reads if no file is named. A name in SSH_CONFIG stands for both, as for `ssh -F`.
FILES = ("~/.ssh/config", "/etc/ssh/ssh_config")
# Asks on the terminal of the task: ssh is not in its session, so that Ctrl-C does not reach it.
ASK = """#!/bin/sh
exec <"$INV_TERMINAL" 2>"$INV_TERMINAL"
printf %s "$1" >&2
case $1 in *yes/no*) ;; *) stty -echo ;; esac
read -r answer
stty echo
echo >&2
printf '%s\\n' "$answer"
"""


@dataclass(frozen=True)
class Client:
    """OpenSSH with a private folder, which has its configuration and its sockets."""

    folder: Path
    env: Mapping[str, str]

    def words(self, ask: bool = False) -> list[str]:
        """Return how a command of ssh begins. If `ask`, it may ask for passphrases."""
        return ["ssh", "-F", str(self.folder / ("config-ask" if ask else "config"))]

    def can_ask(self) -> bool:
        """Return whether the user can answer at a terminal, and gave no key in a variable."""
        terminal = sys.stdin is not None and sys.stdin.isatty()
        return terminal and not self.env.get(variables.KEY)

    def environment(self, ask: bool = False) -> dict[str, str]:
        """Return the environment variables of ssh: its messages, and the servers', are English."""
        known = {key: value for key, value in self.env.items() if not _hidden(key)}
        known["SSH_ASKPASS_REQUIRE"] = "never"
        if ask:
            program = {"SSH_ASKPASS": str(self.folder / "ask"), "SSH_ASKPASS_REQUIRE": "force"}
            # Before OpenSSH 8.4 a program is asked only with a display.
            known |= program | {"INV_TERMINAL": os.ttyname(sys.stdin.fileno()), "DISPLAY": ":0"}
        return known

    def readable(self, text: str) -> str:
        """Return a message of ssh with the variable in place of the private file."""
        return text.replace(str(self.folder / "known_hosts"), variables.KNOWN)


def _hidden(name: str) -> bool:
    ours = {variables.KEY, variables.KNOWN, "DISPLAY", "SSH_ASKPASS", "LANG", "LANGUAGE"}
    return name in ours or name.startswith("LC_")


@contextmanager
def prepared(env: Mapping[str, str] = os.environ) -> Iterator[Client]:
    """Give an OpenSSH client that knows the keys and the hosts of variables and of the user."""
    with ExitStack() as stack:
        folder = stack.enter_context(files.folder())
        text = OPTIONS
        if key := env.get(variables.KEY, "").strip():
            text += stack.enter_context(_agent(folder, variables.private_key(key), env))
        if known := env.get(variables.KNOWN, "").strip():
            file = folder / "known_hosts"
            file.write_text(variables.known_hosts(known), "utf-8")
            text += f"UserKnownHostsFile {_quoted(file)}\nGlobalKnownHostsFile none\n"
        text += "".join(f"Include {_quoted(file)}\n" for file in _files(env))
        (folder / "config").write_text(f"BatchMode yes\n{text}", "utf-8")
        (folder / "config-ask").write_text(text, "utf-8")
        (folder / "ask").write_text(ASK, "utf-8")
        (folder / "ask").chmod(0o700)
        yield Client(folder, env)


def _files(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the user's configuration files of ssh."""
    if not (named := env.get("SSH_CONFIG", "").strip()):
        return FILES
    if not os.path.isfile(named):
        raise TaskError(f"SSH_CONFIG: {named} not found", "correct its path", ExitCode.REFUSED)
    return (os.path.abspath(named),)


def _quoted(file: Path | str) -> str:
    return '"{}"'.format(re.sub("%", "%%", str(file)))


@contextmanager
def _agent(folder: Path, key: str, env: Mapping[str, str]) -> Iterator[str]:
    """Run an agent with a key, which no file has; give the options that make ssh ask it."""
    socket, public = folder / "agent", folder / "key.pub"
    # It ends with its command, which ends with us, however we end.
    script = 'echo begun; cat >/dev/null; kill "$SSH_AGENT_PID"'
    agent = subprocess.Popen(
        ["ssh-agent", "-a", str(socket), "sh", "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        cast(IO[bytes], agent.stdout).readline()
        mine = {**env, "SSH_AUTH_SOCK": str(socket), "SSH_ASKPASS_REQUIRE": "never"}
        _add(key, {name: value for name, value in mine.items() if name != "DISPLAY"})
        listed = subprocess.run(["ssh-add", "-L"], env=mine, capture_output=True, text=True)
        public.write_text(listed.stdout, "utf-8")
        public.chmod(0o600)
        options = {"IdentityAgent": socket, "IdentityFile": public}
        lines = [f"{name} {_quoted(file)}\n" for name, file in options.items()]
        yield "".join(lines) + "IdentitiesOnly yes\n"
    finally:
        agent.communicate()


def _add(key: str, env: Mapping[str, str]) -> None:
    """Add a key to an agent. Raises TaskError, which does not show the key, if it is none."""
    done = subprocess.run(
        ["ssh-add", "-q", "-"], input=key, env=env, capture_output=True, text=True,
        start_new_session=True,
    )  # fmt: skip
    if done.returncode and "passphrase" in done.stderr:
        hint = "use ssh-agent instead, or a key without one"
        raise TaskError(f"{variables.KEY} has a passphrase", hint, ExitCode.REFUSED)
    if done.returncode and "loading key" not in done.stderr:
        what = f"ssh-add: {last_line(done.stderr)}"
        raise TaskError(what, "check OpenSSH on this machine", ExitCode.REFUSED)
    if done.returncode:
        hint = "set it to a whole key file, first and last line included"
        raise TaskError(f"{variables.KEY} is not a private key", hint, ExitCode.REFUSED)
