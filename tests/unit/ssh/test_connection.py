"""SSH errors are one line with what to do; keys come from a variable's text or from its file."""

from __future__ import annotations

import socket

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from paramiko.ssh_exception import NoValidConnectionsError

from tasks.lib.errors import TaskError
from tasks.lib.ssh.connection import HostUnreachable, connection, explained

UP = "check that the host is up, or remove it from `hosts` in invoke.yaml"
KEY = generate_private_key(65537, 2048)


@pytest.mark.parametrize(
    ("error", "kind", "expected"),
    [
        (
            paramiko.AuthenticationException("x"), TaskError,
            "SSH authentication failed - provide an authorized key: SSH_PRIVATE_KEY, ssh-agent",
        ),
        (paramiko.SSHException("No authentication methods available"), TaskError, "no key to log"),
        (socket.gaierror(-2, "Name or service not known"), TaskError, "could not resolve"),
        (
            paramiko.SSHException("Error reading SSH protocol banner"), HostUnreachable,
            f"SSH timed out (no banner within 10 s) - {UP}",
        ),
        (
            paramiko.SSHException("Timeout opening channel."), HostUnreachable,
            "SSH timed out (no channel within 10 s)",
        ),
        (TimeoutError("timed out"), HostUnreachable, f"SSH timed out - {UP}"),
        (
            NoValidConnectionsError({("10.0.0.1", 22): OSError(111, "Connection refused")}),
            HostUnreachable, f"SSH failed (Unable to connect to port 22 on 10.0.0.1) - {UP}",
        ),
    ],
)  # fmt: skip
def test_an_ssh_error_is_one_line_with_what_to_do(error, kind, expected):
    with pytest.raises(TaskError) as raised, explained("deploy@host"):
        raise error
    assert type(raised.value) is kind
    assert str(raised.value).startswith(f"deploy@host: {expected}")
    assert raised.value.code == 2


@pytest.mark.parametrize("as_file", [False, True])
def test_known_hosts_are_a_text_or_a_file(tmp_path, as_file):
    public = KEY.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    # One line, longer than the name of a file can be.
    value = f"host {public.decode()}"
    if as_file:
        (tmp_path / "known_hosts").write_text(value)
        value = str(tmp_path / "known_hosts")
    keys = connection("deploy@host", {"SSH_KNOWN_HOSTS": value}).client.get_host_keys()
    assert list(keys) == ["host"]


def test_what_is_no_private_key_is_refused():
    with pytest.raises(TaskError, match="SSH_PRIVATE_KEY is not a private key - set it to a whole"):
        connection("deploy@host", {"SSH_PRIVATE_KEY": "nonsense"})
