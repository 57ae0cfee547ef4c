"""Servers with SSH on this machine: real sshd's, and keys and certificates of many kinds."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.testbed.commands import environment
from tests.testbed.fido import KIND, TOUCHED, VERIFIED, Token, plugged_in
from tests.testbed.sshds import JUMPER, SSHD, USER, Sshd, agent, keygen, make_key, public

# Security keys: options of authorized_keys, and what the user does when one signs.
FIDO = {
    "touched": ("", TOUCHED),
    "untouched": ("", 0),
    "lazy": ("no-touch-required", 0),
    "without-pin": ("verify-required", TOUCHED),
    "with-pin": ("verify-required", TOUCHED | VERIFIED),
}


@dataclass
class Net:
    """The servers, and the names that set-ups may use."""

    folder: Path
    main: Sshd
    other: Sshd
    names: dict[str, str]

    def ssh(self, config: str, destination: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Try a set-up with the real ssh."""
        file = self.write(config)
        words = ["ssh", "-F", str(file), "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]
        return subprocess.run(
            [*words, *destination.split(), "true"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=True,
            env=environment(**env), timeout=30,
        )  # fmt: skip

    def write(self, config: str) -> Path:
        """Write a configuration, with the names filled in; returns its file."""
        file = self.folder / "config"
        file.write_text(
            "StrictHostKeyChecking yes\nGlobalKnownHostsFile none\n" + self.fill(config)
        )
        return file

    def fill(self, text: str) -> str:
        """Fill the names in."""
        for name, value in self.names.items():
            text = text.replace(f"<{name}>", value)
        return text


def _certify(folder: Path) -> None:
    """Make the keys that the servers accept, and certificates."""
    for name in ("key", "second", "foreign", "ca", "host_ca", "stale/host", "main/host"):
        make_key(folder / name)
    make_key(folder / "rsa", "-t", "rsa", "-b", "2048", "-m", "PEM")
    make_key(folder / "ecdsa", "-t", "ecdsa")
    make_key(folder / "locked", passphrase="a secret")
    make_key(folder / "lent")
    make_key(folder / "certified")
    make_key(folder / "expired")
    for name, user in (("jumping", JUMPER), ("straying", "somebody")):
        make_key(folder / name)
        keygen("-s", str(folder / "ca"), "-I", "u", "-n", user, str(folder / f"{name}.pub"))
    past = ("-V", "20200101:20200102")
    keygen("-s", str(folder / "ca"), "-I", "u", "-n", USER, str(folder / "certified.pub"))
    keygen("-s", str(folder / "ca"), "-I", "u", "-n", USER, *past, str(folder / "expired.pub"))
    hosts = ("-h", "-I", "h", "-n", "127.0.0.1,good.example")
    keygen("-s", str(folder / "host_ca"), *hosts, str(folder / "main/host.pub"))
    keygen("-s", str(folder / "host_ca"), *hosts, *past, str(folder / "stale/host.pub"))
    (folder / "open").write_text((folder / "key").read_text())
    (folder / "open").chmod(0o644)


@pytest.fixture(scope="session")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    """Three servers: `other` knows another key; the certificate of `stale` has expired."""
    if SSHD is None:
        pytest.skip("no sshd on this machine")
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("main", "other", "stale"):
        (folder / name).mkdir()
    _certify(folder)
    certificate = "HostCertificate {}/host-cert.pub\n"
    trusted = f"TrustedUserCAKeys {folder}/ca.pub\n"
    keys = [public(folder / name) for name in ("key", "rsa", "ecdsa", "locked", "lent")]
    with ExitStack() as stack:
        more = trusted + certificate.format(folder / "main")
        keys += [_token(stack, folder, name, *how) for name, how in FIDO.items()]
        main = stack.enter_context(Sshd(folder / "main", keys, more))
        other = stack.enter_context(Sshd(folder / "other", [public(folder / "second")]))
        more = certificate.format(folder / "stale")
        stale = stack.enter_context(Sshd(folder / "stale", keys, more))
        stack.enter_context(agent(folder / "agent", folder / "lent"))
        stack.enter_context(agent(folder / "agent2", folder / "second"))
        crowd = [make_key(folder / f"crowd{number}") for number in range(7)]
        stack.enter_context(agent(folder / "crowded", *crowd, folder / "lent"))
        yield Net(folder, main, other, _names(folder, main, other, stale))


def _token(stack: ExitStack, folder: Path, name: str, options: str, flags: int) -> str:
    """Plug a security key in; returns its line of authorized_keys."""
    token = Token()
    stack.enter_context(plugged_in(folder / f"fido-{name}", token, flags))
    (folder / f"token-{name}").write_text(token.file())
    (folder / f"token-{name}").chmod(0o600)
    return f"{options} {KIND.decode()} {b64encode(token.blob).decode()}".strip()


def _names(folder: Path, main: Sshd, other: Sshd, stale: Sshd) -> dict[str, str]:
    words = ["ssh-keygen", "-l", "-f", str(main.folder / "host.pub")]
    shown = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()[1]
    at, foreign = f"[127.0.0.1]:{main.port}", public(folder / "foreign")
    host_key = public(main.folder / "host")
    inet6 = f"[::1]:{main.port} {host_key}"
    (folder / "known").write_text(f"{main.known}\n{other.known}\n{stale.known}\n{inet6}\n")
    (folder / "hashed").write_text(f"{main.known}\n")
    keygen("-H", "-f", str(folder / "hashed"))
    known = {
        "dir": str(folder), "port": str(main.port), "other": str(other.port),
        "stale": str(stale.port), "at": at, "hostkey": host_key,
        "fingerprint": f"ssh-ed25519 {shown}", "foreign": foreign,
        "ca": public(folder / "host_ca"), "userca": public(folder / "ca"),
        "user": USER, "jumper": JUMPER, "hashed": (folder / "hashed").read_text(),
        "known": f"UserKnownHostsFile {folder}/known\n",
        "key": f"IdentityFile {folder}/key\nIdentitiesOnly yes\n",
        "web": f"Host web_1\n HostName 127.0.0.1\n Port {main.port}\n",
    }  # fmt: skip
    return {**known, "in": known["known"] + known["key"]}
