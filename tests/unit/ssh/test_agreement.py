"""Who gets in with the real ssh gets in with ours, and nobody else: a table of set-ups."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import yaml
from invoke import Context

from tasks.lib.errors import TaskError
from tasks.lib.ssh.host import connected
from tests.testbed.sshds import IPV6

AT = "<user>@127.0.0.1:<port>"


def ours(net, config: str, destination: str, **env: str) -> str:
    """Try a set-up with ours; returns the error's line, empty if it got in."""
    variables = {"SSH_CONFIG": str(net.write(config)), "PATH": "/usr/bin:/bin", **env}
    try:
        with connected(Context(), [net.fill(destination)], variables) as (host,):
            assert host.run("echo in") == "in\n"
    except TaskError as error:
        assert "\n" not in str(error) and error.code == 2
        return str(error)
    return ""


def real(net, config: str, destination: str, **env: str) -> str:
    """Try a set-up with the real ssh; returns what it prints, empty if it got in."""
    user, _, address = net.fill(destination).rpartition("@")
    whole = address.count(":") > 1 and "[" not in address
    host, _, port = address.partition("]:" if "[" in address else " " if whole else ":")
    words = [*(["-l", user] if user else []), *(["-p", port] if port else []), host.strip("[]")]
    done = net.ssh(config, " ".join(words), **env)
    return f"{done.stderr} status {done.returncode}" if done.returncode else ""


SETUPS = yaml.safe_load(Path(__file__).with_name("setups.yaml").read_text())


def rows(kind: str):
    """Parametrize a test with the set-ups of a kind."""
    found = SETUPS[kind]
    return pytest.mark.parametrize("setup", found, ids=[each["name"] for each in found])


@pytest.fixture(scope="module", autouse=True)
def files(net) -> None:
    """The files that the set-ups name."""
    (net.folder / "included").write_text(net.fill("<in>"))
    (net.folder / "nested").write_text(f"Include {net.folder}/included\n")
    (net.folder / "nickname").write_text(net.fill("nickname <hostkey>\n"))
    for name in ("included", "nested"):
        (net.folder / name).chmod(0o600)


@rows("configurations")
def test_a_configuration_lets_in_as_ssh_does(net, setup):
    where = setup.get("host", AT)
    env = {name: net.fill(value) for name, value in setup.get("env", {}).items()}
    expected = IPV6 if setup["gets_in"] == "with IPv6" else setup["gets_in"]
    refused, error = (
        real(net, setup["config"], where, **env),
        ours(net, setup["config"], where, **env),
    )
    assert (refused == "") == expected, refused
    assert (error == "") == expected, error


@rows("known_hosts")
@pytest.mark.parametrize("variable", [False, True], ids=["file", "variable"])
def test_known_hosts_let_in_as_ssh_does(net, setup, variable):
    where, text = setup.get("host", AT), net.fill(setup["lines"])
    (net.folder / "hosts").write_text(text)
    keys = "<key>IdentityFile <dir>/second\n"
    config = f"{keys}UserKnownHostsFile <dir>/hosts\n"
    refused = real(net, config, where)
    env = {"SSH_KNOWN_HOSTS": text} if variable else {}
    error = ours(net, keys if variable else config, where, **env)
    assert (refused == "") == setup["gets_in"], refused
    assert (error == "") == setup["gets_in"], error


def forms(text: str, file: Path) -> dict[str, str]:
    """The forms in which a variable can have a text."""
    return {
        "as it is": text,
        "without a line break at its end": text.rstrip(),
        "base64": base64.b64encode(text.encode()).decode(),
        "base64 in lines": base64.encodebytes(text.encode()).decode(),
        "blanks for line breaks": " ".join(text.split("\n")),
        "backslash and n for line breaks": text.replace("\n", "\\n"),
        "line breaks of Windows": text.replace("\n", "\r\n"),
        "in quotes": f'"{text}"',
        "a path": str(file),
    }


@pytest.mark.parametrize("form", forms("", Path()))
@pytest.mark.parametrize("key", ["key", "rsa", "ecdsa"])
def test_a_key_of_a_variable_is_read_in_any_form(net, key, form):
    value = forms((net.folder / key).read_text(), net.folder / key)[form]
    assert ours(net, "<known>", AT, SSH_PRIVATE_KEY=value) == ""


@pytest.mark.parametrize("form", forms("", Path()))
def test_known_hosts_of_a_variable_are_read_in_any_form(net, form):
    file = net.folder / "hosts"
    text = net.fill("@revoked * <foreign>\n<at> <foreign>\n<at> <hostkey>\n")
    file.write_text(text)
    assert ours(net, "<key>", AT, SSH_KNOWN_HOSTS=forms(text, file)[form]) == ""


def test_a_key_without_its_first_and_last_line_is_read(net):
    lines = (net.folder / "key").read_text().splitlines()[1:-1]
    assert ours(net, "<known>", AT, SSH_PRIVATE_KEY="".join(lines)) == ""
