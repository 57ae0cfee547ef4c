"""Servers with SSH on this machine: real sshd's, and keys and certificates of many kinds."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.testbed.commands import environment
from tests.testbed.sshds import SSHD, USER, Sshd, agent, keygen, make_key, public


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
        main = stack.enter_context(Sshd(folder / "main", keys, more))
        other = stack.enter_context(Sshd(folder / "other", [public(folder / "second")]))
        more = certificate.format(folder / "stale")
        stale = stack.enter_context(Sshd(folder / "stale", keys, more))
        stack.enter_context(agent(folder / "agent", folder / "lent"))
        crowd = [make_key(folder / f"crowd{number}") for number in range(7)]
        stack.enter_context(agent(folder / "crowded", *crowd, folder / "lent"))
        yield Net(folder, main, other, _names(folder, main, other, stale))


def _names(folder: Path, main: Sshd, other: Sshd, stale: Sshd) -> dict[str, str]:
    words = ["ssh-keygen", "-l", "-f", str(main.folder / "host.pub")]
    shown = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()[1]
    at, foreign = f"[127.0.0.1]:{main.port}", public(folder / "foreign")
    host_key = public(main.folder / "host")
    (folder / "known").write_text(f"{main.known}\n{other.known}\n{stale.known}\n")
    (folder / "hashed").write_text(f"{main.known}\n")
    keygen("-H", "-f", str(folder / "hashed"))
    known = {
        "dir": str(folder), "port": str(main.port), "other": str(other.port),
        "stale": str(stale.port), "at": at, "hostkey": host_key,
        "fingerprint": f"ssh-ed25519 {shown}", "foreign": foreign,
        "ca": public(folder / "host_ca"), "userca": public(folder / "ca"),
        "user": USER, "hashed": (folder / "hashed").read_text(),
        "known": f"UserKnownHostsFile {folder}/known\n",
        "key": f"IdentityFile {folder}/key\nIdentitiesOnly yes\n",
        "web": f"Host web_1\n HostName 127.0.0.1\n Port {main.port}\n",
    }  # fmt: skip
    return {**known, "in": known["known"] + known["key"]}
