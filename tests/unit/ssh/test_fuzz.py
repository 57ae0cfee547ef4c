"""Whatever is in known_hosts, in the configuration or in a variable: no traceback, no wrong yes."""

from __future__ import annotations

import base64

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tasks.lib.errors import TaskError
from tasks.lib.ssh import failures, variables

from .test_agreement import AT, ours, real

# Each example of these connects twice.
few = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
many = settings(max_examples=300, deadline=None)
names = st.sampled_from(["<at>", "*", "!<at>", "127.0.0.1", "web", "[::1]:22", "|1|x=|y=", "", ","])
hosts = st.lists(names, min_size=1, max_size=3).map(",".join)
markers = st.sampled_from(["", "", "", "@revoked ", "@cert-authority ", "@x ", "# "])
keys = st.sampled_from(
    ["<hostkey>", "<foreign>", "<ca>", "ssh-ed25519", "ssh-rsa AAAA", "1024 35 1", ""]
)
ends = st.sampled_from(["", " a comment", " # 1", "\t", "\r", " \x00", " \xe4"])
rows = st.builds("{}{} {}{}".format, markers, hosts, keys, ends) | st.text(max_size=40)
OPTIONS = """
Host *|Host web|Host !127.0.0.1|Host|Match all|Match exec false|Match host 127.*|Match|Match final
Include <dir>/included|Include <dir>/*.x|HostKeyAlias web|HostKeyAlias <at>|User nobody|Port 1|Port
IdentityFile <dir>/foreign|IdentitiesOnly maybe|IdentityAgent none|Compression=yes|Port x|"|= =
ProxyJump none|ProxyCommand false|AddressFamily inet6|BatchMode no|LogLevel QUIET|\x00|# x|\xe4
StrictHostKeyChecking yes|UserKnownHostsFile <dir>/nickname|Hostname 127.0.0.1|Hostname %h
Hostname %x|SetEnv A=b|SendEnv *
"""
options = st.sampled_from(OPTIONS.strip().replace("\n", "|").split("|"))


def printable(text: str) -> str:
    """A text that a file can have."""
    return text.encode(errors="replace").decode()


@few
@given(st.lists(rows, max_size=6))
@example(["<at> <hostkey>"])
@example(["* <hostkey>", "@revoked * <hostkey>"])
def test_known_hosts_agree(net, lines):
    text = printable(net.fill("\n".join(lines)))
    (net.folder / "hosts").write_text(f"{text}\n")
    config = "<key>UserKnownHostsFile <dir>/hosts\n"
    assert (ours(net, config, AT) == "") == (real(net, config, AT) == "")


@few
@given(st.lists(options, max_size=6), st.booleans())
def test_configurations_agree(net, lines, first):
    fuzz = "".join(f"{line}\n" for line in lines)
    config = f"<in>{fuzz}" if first else f"{fuzz}Match all\n<in>"
    assert (ours(net, config, AT) == "") == (real(net, config, AT) == "")


@few
@given(st.lists(rows, min_size=1, max_size=6))
def test_a_variable_of_known_hosts_lets_in_no_more_than_a_file(net, lines):
    text = printable(net.fill("\n".join(lines)))
    (net.folder / "hosts").write_text(f"{text}\n")
    inside = ours(net, "<key>", AT, SSH_KNOWN_HOSTS=text.replace("\x00", "")) == ""
    if inside:
        assert real(net, "<key>UserKnownHostsFile <dir>/hosts\n", AT) == ""


@many
@given(st.text() | st.binary().map(lambda data: base64.b64encode(data).decode()))
@example("-----BEGIN X-----\n-----END X-----")
@example("x" * 5000)
def test_a_variable_is_read_or_refused(value):
    variables.known_hosts(value)
    try:
        text = variables.private_key(value)
    except TaskError as error:
        assert str(error).startswith("SSH_PRIVATE_KEY is not a private key - ")
    else:
        assert text.startswith("-----BEGIN ")


@many
@given(st.text(), st.text())
def test_whatever_ssh_prints_is_explained_in_one_line(log, printed):
    for error in (failures.explain("web1", log, printed, True), failures.lost("web1", log)):
        assert len(str(error).splitlines()) == 1 and str(error).startswith("web1: ")
    assert isinstance(failures.unreadable(log), list)


@pytest.mark.parametrize(
    "line", ["Host key verification failed.", "Permission denied (", "{x} {0}"]
)
def test_braces_and_patterns_of_a_log_are_no_formats(line):
    log = f"debug1: Server host key: {{}} SHA256:{{0}}\n{line}\n/x line 1: {{boom}} {{0.x}}\n"
    assert "boom" in str(failures.explain("web1", log, "", False))
