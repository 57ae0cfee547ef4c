"""SSH connections, made by Fabric; host keys are checked as strictly as OpenSSH does."""

import logging
import os.path
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn

from ..errors import ExitCode, TaskError

# Seconds to connect, to receive the banner, and to open a channel.
CONNECT = 10
# Seconds between two checks that a connection is alive.
KEEPALIVE = 15
# Seconds without an acknowledgement after which the kernel closes a connection.
DEAD = 30
# What a timeout waited for, by a part of paramiko's message: it has no exception types for these.
TIMEOUTS = {"opening channel": "channel", "banner": "banner", "No existing session": "banner"}
CHECK_HOST = "check that the host is up, or remove it from `hosts` in invoke.yaml"


class HostUnreachable(TaskError):
    """A server does not answer over SSH."""


def connection(name: str, env: Mapping[str, str]) -> Any:
    """Return a Fabric connection that checks host keys as strictly as OpenSSH, on every hop."""
    from fabric import Config, Connection

    # Errors reach the user as exceptions; paramiko's log would print them twice.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    options: dict[str, Any] = {"banner_timeout": CONNECT, "auth_timeout": 20}
    if env.get("SSH_PRIVATE_KEY"):
        options |= {"pkey": _key(env), "allow_agent": False, "look_for_keys": False}
    last = hop = Connection(name, config=Config())
    while hasattr(hop, "client"):
        hop.connect_timeout = CONNECT
        hop.connect_kwargs = {**hop.connect_kwargs, **options}
        _check_host_keys(hop, env)
        hop = hop.gateway
    return last


def _check_host_keys(connection: Any, env: Mapping[str, str]) -> None:
    """Load the known host keys, and reject a host without one."""
    from paramiko import MissingHostKeyPolicy

    text = _text(env, "SSH_KNOWN_HOSTS")
    add = "add its line to" if text else "log in once with ssh, or set"

    class Reject(MissingHostKeyPolicy):
        def missing_host_key(self, client: Any, hostname: str, key: Any) -> NoReturn:
            what = f"host key of {hostname} is not known: {key.get_name()} {key.fingerprint}"
            hint = f"verify the fingerprint on the server, then {add} SSH_KNOWN_HOSTS"
            raise TaskError(what, hint, ExitCode.REFUSED)

    connection.client.set_missing_host_key_policy(Reject())
    if text:
        _add_host_keys(connection.client, text)
        return
    user = connection.ssh_config.get("userknownhostsfile", "~/.ssh/known_hosts")
    for file in map(os.path.expanduser, (*user.split(), "/etc/ssh/ssh_known_hosts")):
        if os.path.isfile(file):
            connection.client.load_system_host_keys(file)


def _add_host_keys(client: Any, text: str) -> None:
    from paramiko.hostkeys import HostKeyEntry

    keys = client.get_host_keys()
    for number, line in enumerate(text.splitlines(), 1):
        entry = HostKeyEntry.from_line(line.strip(), number)
        for name in entry.hostnames if entry and entry.key else ():
            keys.add(name, entry.key.get_name(), entry.key)


def _text(env: Mapping[str, str], name: str) -> str:
    """Return a variable's value, or the text of the file that it names."""
    value = env.get(name, "")
    path = value.strip()
    return Path(path).read_text("utf-8") if os.path.isfile(path) else value


def channel(transport: Any) -> Any:
    """Open a channel; if the connection does not answer, close it for everything that uses it."""
    from paramiko import ChannelException, SSHException

    try:
        return transport.open_session(timeout=CONNECT)
    except (SSHException, EOFError, OSError) as error:
        # A server that has reached MaxSessions answers.
        if not isinstance(error, ChannelException):
            transport.close()
        raise


def keep_alive(transport: Any) -> None:
    """Check from time to time that a connection answers, until one that does not is closed."""
    from paramiko import SSHException

    while transport.is_active():
        time.sleep(KEEPALIVE)
        with suppress(SSHException, EOFError, OSError):
            channel(transport).close()


def tune(sock: Any) -> None:
    """Send small packets at once, and let the kernel close a dead connection."""
    if isinstance(sock, socket.socket):
        # Otherwise each command waits 40 ms for a packet to fill.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Otherwise the kernel waits a quarter of an hour.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD * 1000)


def _key(env: Mapping[str, str]) -> Any:
    """Return the key of SSH_PRIVATE_KEY, a text or a file. Raises TaskError if it is no key."""
    from paramiko import ECDSAKey, Ed25519Key, PasswordRequiredException, RSAKey, SSHException

    text = _text(env, "SSH_PRIVATE_KEY").strip() + "\n"
    for kind in (Ed25519Key, RSAKey, ECDSAKey):
        try:
            return kind.from_private_key(StringIO(text))
        except PasswordRequiredException:
            what, hint = "SSH_PRIVATE_KEY has a passphrase", "use ssh-agent instead"
            raise TaskError(what, hint, ExitCode.REFUSED) from None
        except (SSHException, ValueError, IndexError):
            continue
    hint = "set it to a whole key file in OpenSSH's format, first and last line included"
    raise TaskError("SSH_PRIVATE_KEY is not a private key", hint, ExitCode.REFUSED)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Raise what goes wrong between this machine and a server as TaskError."""
    from paramiko.ssh_exception import NoValidConnectionsError, SSHException

    lost = (socket.gaierror, TimeoutError, NoValidConnectionsError, ConnectionError, EOFError)
    try:
        yield
    except (SSHException, *lost) as error:
        what, hint = _rejection(error)
        kind = TaskError if what else HostUnreachable
        what, hint = what or _outage(error), hint or CHECK_HOST
        raise kind(f"{name}: {what}", hint, ExitCode.REFUSED) from None


def _rejection(error: Exception) -> tuple[str, str]:
    """Return what failed, and what to do, where trying again does not help; else empty texts."""
    from paramiko import AuthenticationException, BadHostKeyException

    if isinstance(error, BadHostKeyException):
        risk = "possible man-in-the-middle attack; verify the fingerprint on the server"
        what = f"host key mismatch: {error.key.get_name()} {error.key.fingerprint}"
        return what, f"{risk} before updating known_hosts"
    if isinstance(error, AuthenticationException):
        hint = "provide an authorized key: SSH_PRIVATE_KEY, ssh-agent or a key file"
        return "SSH authentication failed", hint
    if "authentication methods" in str(error):
        return "no key to log in with", "set SSH_PRIVATE_KEY, or add a key to ssh-agent"
    if isinstance(error, socket.gaierror):
        return "could not resolve the hostname", "correct `hosts` in invoke.yaml"
    return "", ""


def _outage(error: Exception) -> str:
    """Return why a server is unreachable."""
    text = re.sub(r"\[Errno \S+\] ", "", " ".join(str(error).split())) or type(error).__name__
    for sign, missing in TIMEOUTS.items():
        if sign in text:
            return f"SSH timed out (no {missing} within {CONNECT} s)"
    return "SSH timed out" if isinstance(error, TimeoutError) else f"SSH failed ({text})"
