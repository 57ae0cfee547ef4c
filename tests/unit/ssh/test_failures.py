"""A connection that fails is one line with what to do, within three seconds."""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from invoke import Context

from tasks.lib.errors import TaskError
from tasks.lib.ssh import variables
from tasks.lib.ssh.client import Client
from tasks.lib.ssh.connection import Connection, destination, remote
from tasks.lib.ssh.failures import HostUnreachable, lost
from tasks.lib.ssh.host import connected
from tests.testbed.commands import until
from tests.testbed.sshds import Sshd, public

from .test_agreement import AT, SETUPS, ours

UP = "check that the host is up, or remove it from `hosts` in invoke.yaml"


@pytest.mark.parametrize("setup", SETUPS["failures"], ids=lambda setup: setup["says"][:60])
def test_a_failure_is_one_line_with_what_to_do(net, setup):
    config, where = setup["config"], setup.get("host", AT)
    began = time.monotonic()
    error = ours(net, f"IdentityAgent none\n{config}" if "Agent" not in config else config, where)
    assert time.monotonic() - began < 3
    expected = setup["says"].replace("<up>", UP).replace("<to>", where)
    assert error.startswith(net.fill(expected)), error


@contextmanager
def silent():
    """Give the port of a server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def attempt(net, *names: str, config: str = "<in>", **env: str) -> list[str]:
    """Connect to servers; return the names of those that answered."""
    variables = {"SSH_CONFIG": str(net.write(config)), "PATH": "/usr/bin:/bin", **env}
    with connected(Context(), [net.fill(name) for name in names], variables) as hosts:
        return [host.name for host in hosts]


def test_only_a_server_that_is_silent_is_left_out(net, capsys):
    main = net.main.name
    assert attempt(net, AT, "127.0.0.1:1") == [main]
    assert capsys.readouterr().err.endswith(f"Connection refused) - {UP}\n")
    with pytest.raises(TaskError, match="SSH authentication failed"):
        attempt(net, AT, "127.0.0.1:<other>")
    config = "<in>Match host localhost\n Ciphers 3des-cbc\n HostKeyAlias <at>\n"
    with pytest.raises(TaskError, match=r"localhost:.*: no matching cipher"):
        attempt(net, AT, "localhost:<port>", config=config)


@pytest.mark.slow
def test_a_server_without_a_greeting_is_silent(net, capsys):
    with silent() as port:
        assert attempt(net, AT, f"127.0.0.1:{port}") == [net.main.name]
    assert "SSH timed out (no banner within 10 s)" in capsys.readouterr().err


def test_a_known_host_that_cannot_be_read_is_a_warning_with_its_line(net, capsys):
    text = net.fill("# mine\n<at> ssh-ed25519 AAAAbroken\n<at> <hostkey>\n@trusted * <hostkey>\n")
    attempt(net, AT, AT, config="<key>", SSH_KNOWN_HOSTS=text)
    says = "warning: SSH_KNOWN_HOSTS:{} cannot be read - correct or remove the line\n"
    assert capsys.readouterr().err == says.format(2) + says.format(4)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ('echo hello; exec sh -c \\"$SSH_ORIGINAL_COMMAND\\"', "hello"),
        ("echo This account is not available.; exit 1", "This account is not available."),
        ("echo no shell >&2; exit 1", "no shell"),
        ("exit 1", "no output"),
    ],
)
def test_a_shell_that_does_not_only_run_commands_is_refused(net, tmp_path, command, expected):
    line = f'command="{command}" {public(net.folder / "key")}'
    with Sshd(tmp_path / "sshd", [line]) as server, pytest.raises(TaskError) as raised:
        attempt(net, server.name, config="<key>", SSH_KNOWN_HOSTS=server.known)
    what = f"its shell prints {expected!r} instead of running only the command"
    assert str(raised.value).startswith(f"{server.name}: {what}")
    assert type(raised.value) is TaskError


@pytest.mark.parametrize("sessions", [1, 2])
def test_a_server_with_few_sessions_is_used_over_more_connections(net, tmp_path, sessions):
    more = f"MaxSessions {sessions}\n"
    with Sshd(tmp_path / "sshd", [public(net.folder / "key")], more) as server:
        env = {"SSH_CONFIG": str(net.write("<key>")), "SSH_KNOWN_HOSTS": server.known}
        reached = connected(Context(), [server.name], {"PATH": "/usr/bin:/bin", **env})
        with reached as (host,), ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda n: host.run("sleep 0.5; echo $1", n), "1234"))
    assert done == ["1\n", "2\n", "3\n", "4\n"]


def test_a_server_without_sessions_is_refused(net, tmp_path):
    with (
        Sshd(tmp_path / "sshd", [public(net.folder / "key")], "MaxSessions 0\n") as server,
        pytest.raises(TaskError) as raised,
    ):
        attempt(net, server.name, config="<key>", SSH_KNOWN_HOSTS=server.known)
    says = "the server opens no session - raise MaxSessions in its sshd_config"
    assert str(raised.value) == f"{server.name}: {says}"
    assert type(raised.value) is TaskError


# Those that this machine has; every one has the first.
SHELLS = ["sh", "bash", "dash", "csh", "tcsh", "fish", "zsh", "ksh", "mksh"]


@pytest.mark.parametrize("shell", list(filter(shutil.which, SHELLS)))
def test_a_script_runs_through_every_login_shell(net, tmp_path, shell):
    # As sshd starts a user's shell.
    command = f'exec {shutil.which(shell)} -c \\"$SSH_ORIGINAL_COMMAND\\"'
    line = f'command="{command}" {public(net.folder / "key")}'
    with Sshd(tmp_path / "sshd", [line]) as server:
        env = {"SSH_CONFIG": str(net.write("<key>")), "SSH_KNOWN_HOSTS": server.known}
        with connected(Context(), [server.name], {"PATH": "/usr/bin:/bin", **env}) as (host,):
            text = "it's\n!$`\\\"{}[]*~;&|<>"
            assert host.run('cat; printf %s "$1$2"', text, "é", text=text) == f"{text}{text}é"


def test_the_longest_name_of_a_temporary_folder_is_no_obstacle(net, tmp_path, monkeypatch):
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    key = (net.folder / "key").read_text()
    assert attempt(net, AT, config="<known>", SSH_PRIVATE_KEY=key) == [net.main.name]


def test_a_connection_that_broke_is_opened_again(net, tmp_path):
    with Sshd(tmp_path / "sshd", [public(net.folder / "key")]) as server:
        env = {"SSH_CONFIG": str(net.write("<key>")), "SSH_KNOWN_HOSTS": server.known}
        with connected(Context(), [server.name], {"PATH": "/usr/bin:/bin", **env}) as (host,):
            with ThreadPoolExecutor() as pool:
                lost = pool.submit(host.run, 'touch "$1"; sleep 60', str(tmp_path / "begun"))
                until((tmp_path / "begun").exists)
                server.cut()
                assert isinstance(lost.exception(10), HostUnreachable)
            assert host.run("echo in") == "in\n"


@pytest.mark.parametrize("value", ["nonsense", "/no/such/file", "x" * 5000, "-----BEGIN X-----"])
def test_what_is_no_private_key_is_refused_and_not_shown(net, value):
    error = ours(net, "<known>", AT, SSH_PRIVATE_KEY=value)
    assert error.startswith("SSH_PRIVATE_KEY is not a private key - set it to a whole key file")
    assert value not in error


@pytest.mark.parametrize("change", [str.lower, lambda text: text.replace("A", "B")])
def test_a_key_that_is_broken_is_refused_and_not_shown(net, change):
    lines = (net.folder / "key").read_text().splitlines()
    value = "\n".join([lines[0], *map(change, lines[1:-1]), lines[-1]])
    error = ours(net, "<known>", AT, SSH_PRIVATE_KEY=value)
    assert error.startswith("SSH_PRIVATE_KEY is not a private key")
    assert not any(line in error for line in value.splitlines())


def test_a_key_with_a_passphrase_is_refused(net):
    error = ours(net, "<known>", AT, SSH_PRIVATE_KEY=(net.folder / "locked").read_text())
    assert error == "SSH_PRIVATE_KEY has a passphrase - use ssh-agent instead, or a key without one"


def test_a_key_is_in_no_file_and_its_agent_ends(net, monkeypatch):
    key = (net.folder / "key").read_text()
    env = {"SSH_CONFIG": str(net.write("<known>")), "SSH_PRIVATE_KEY": key, "PATH": "/usr/bin:/bin"}
    # A folder of its own, as other tasks make theirs meanwhile; its name must be short.
    with tempfile.TemporaryDirectory() as root:
        monkeypatch.setattr(tempfile, "tempdir", root)
        with connected(Context(), [net.main.name], env) as _:
            (folder,) = Path(root).iterdir()
            texts = [file.read_text() for file in folder.iterdir() if file.is_file()]
            assert texts and not any("PRIVATE" in text for text in texts)
        assert not folder.exists()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web_1", "-- web_1"),
        ("me@web", "-l me -- web"),
        ("me@web:22", "-l me -p 22 -- web"),
        ("me@example.org@web", "-l me@example.org -- web"),
        ("me@[::1]:22", "-l me -p 22 -- ::1"),
        ("me@2001:db8::1", "-l me -- 2001:db8::1"),
        ("[2001:db8::1]", "-- 2001:db8::1"),
    ],
)
def test_a_host_is_named_as_settings_have_it(name, expected):
    assert destination(name) == expected.split()


def test_a_script_reaches_every_shell_as_it_is():
    command = remote("printf '%s\\n' \"$1\"\nexit", ("it's\n!$`\\",))
    assert not set("\\\n!`") & set(command)


def test_a_connection_that_stops_to_answer_has_timed_out():
    log = "Authenticated to h ([127.0.0.1]:22).\nTimeout, server h not responding.\n"
    assert str(lost("h", log)) == f"h: SSH timed out (no answer within 15 s) - {UP}"


def test_known_hosts_in_one_line_are_split():
    lines = ["a ssh-rsa A", "@revoked b ssh-rsa B", "c,d ecdsa-sha2-nistp256 C me"]
    assert variables.known_hosts(" ".join(lines)).splitlines() == lines


def test_a_connection_whose_log_was_deleted_is_lost_in_one_line(tmp_path):
    error = Connection(Client(tmp_path, {}), "deploy@here", 0).lost()
    assert str(error) == "deploy@here: SSH failed (no output) - see sshd's log there"
