"""Real sshd's of this user on free ports of this machine, with keys and certificates."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.testbed.commands import environment, free_port, until, works

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH')}:/usr/sbin:/usr/local/sbin")
USER = getpass.getuser()
# Another user that every Linux has; only root's sshd can let somebody else in.
JUMPER = "daemon" if os.geteuid() == 0 else USER


def _has_ipv6() -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET6) as made:
        made.bind(("::1", 0))
        return True
    return False


IPV6 = _has_ipv6()
CONFIG = """
Port {port}
ListenAddress 127.0.0.1
{ipv6}
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
StrictModes no
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
MaxStartups 100
# bash does not read .bashrc then.
SetEnv SHLVL=5
"""


def keygen(*words: str) -> None:
    """Run ssh-keygen."""
    subprocess.run(["ssh-keygen", "-q", *words], check=True, capture_output=True)


def make_key(file: Path, *words: str, passphrase: str = "") -> Path:
    """Make a key, of type ed25519 without other words; returns its private file."""
    keygen(*(words or ("-t", "ed25519")), "-N", passphrase, "-C", "", "-f", str(file))
    return file


def public(file: Path) -> str:
    """The public half of a key: its type and its base64."""
    return " ".join(file.with_name(f"{file.name}.pub").read_text().split()[:2])


@dataclass
class Sshd:
    """An sshd that accepts some keys.

    Args:
        authorized: the lines of authorized_keys.
        more: lines of its configuration that come first.
    """

    folder: Path
    authorized: list[str]
    more: str = ""
    port: int = field(default_factory=free_port)

    @property
    def name(self) -> str:
        """Where it is, as settings name it."""
        return f"{USER}@127.0.0.1:{self.port}"

    @property
    def known(self) -> str:
        """Its line of known_hosts."""
        return f"[127.0.0.1]:{self.port} {public(self.folder / 'host')}"

    def log(self) -> str:
        """What it has logged."""
        return (self.folder / "log").read_text()

    def __enter__(self) -> Sshd:
        self.folder.mkdir(exist_ok=True)
        if not (self.folder / "host").exists():
            make_key(self.folder / "host")
        self.authorize(*self.authorized)
        listen = "ListenAddress ::1" if IPV6 else ""
        config = self.folder / "config"
        config.write_text(
            self.more + CONFIG.format(port=self.port, folder=self.folder, ipv6=listen)
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        log = self.folder / "log"
        # The shell ends with its stdin, and so with the tests, however they end.
        script = f'{SSHD} -D -f "$1" -E "$2" & echo $!; cat >/dev/null; kill $!'
        self._process = subprocess.Popen(
            ["sh", "-c", script, "sh", str(config), str(log)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._pid = int(self._process.stdout.readline())
        until(works(lambda: socket.create_connection(("127.0.0.1", self.port)).close()), 10)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=10)

    def cut(self) -> None:
        """End all connections."""
        listed = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text()
        for pid in map(int, listed.split()):
            os.kill(pid, signal.SIGKILL)

    def stop_listening(self) -> None:
        """Let nobody in any more; the connections that stand go on."""
        os.kill(self._pid, signal.SIGTERM)

    def authorize(self, *lines: str) -> None:
        """Accept these lines of authorized_keys, and no others."""
        (self.folder / "authorized").write_text("".join(f"{line}\n" for line in lines))


@contextmanager
def agent(socket: Path, *keys: Path) -> Iterator[Path]:
    """An ssh-agent on a socket, with some keys; gives the socket."""
    script = 'echo; cat >/dev/null; kill "$SSH_AGENT_PID"'
    process = subprocess.Popen(
        ["ssh-agent", "-a", str(socket), "sh", "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        process.stdout.readline()
        for key in keys:
            env = environment(SSH_AUTH_SOCK=str(socket))
            subprocess.run(["ssh-add", "-q", str(key)], env=env, check=True, capture_output=True)
        yield socket
    finally:
        process.communicate(timeout=10)
