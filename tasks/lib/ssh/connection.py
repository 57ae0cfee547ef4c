"""SSH connections, through Fabric: the one door to it. Strict about the servers' keys."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import ExitCode, TaskError

if TYPE_CHECKING:
    from paramiko import Channel, PKey, Session

# Seconds for a connection, its greeting, and a channel of it.
CONNECT = 10
# Seconds between two looks whether a connection is alive.
KEEPALIVE = 15
# Seconds without an answer after which a connection is dead.
DEAD = 30


class HostUnreachable(TaskError):
    """A server does not answer."""


def connection(name: str, env: Mapping[str, str]) -> Any:
    """A connection of Fabric's, as strict about host keys as OpenSSH: on every hop."""
    from fabric import Config, Connection

    # What goes wrong reaches the user as an exception; else it would be told twice.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    options: dict[str, Any] = {"banner_timeout": CONNECT, "auth_timeout": 20}
    if env.get("SSH_PRIVATE_KEY"):
        options |= {"pkey": _key(env), "allow_agent": False, "look_for_keys": False}
    made = Connection(name, config=Config())
    hop = made
    while hop is not None and hasattr(hop, "client"):
        hop.connect_timeout = CONNECT
        hop.connect_kwargs = {**hop.connect_kwargs, **options}
        _be_strict(hop, env)
        hop = hop.gateway
    return made


def _be_strict(connection: Any, env: Mapping[str, str]) -> None:
    """Let a connection know the keys that are known, and refuse every other."""
    from paramiko import MissingHostKeyPolicy
    from paramiko.hostkeys import HostKeyEntry

    class Refuse(MissingHostKeyPolicy):
        def missing_host_key(self, client: Any, hostname: str, key: PKey) -> NoReturn:
            what = f"the key of {hostname} is not known: {key.get_name()} {key.fingerprint}"
            raise TaskError(what, _known_hint(env), ExitCode.REFUSED)

    client = connection.client
    client.set_missing_host_key_policy(Refuse())
    told = env.get("SSH_KNOWN_HOSTS", "")
    if told and "\n" not in told.strip() and Path(told.strip()).is_file():
        told = Path(told.strip()).read_text("utf-8")
    if told:
        keys = client.get_host_keys()
        for number, line in enumerate(told.splitlines(), 1):
            entry = HostKeyEntry.from_line(line.strip(), number)
            for name in entry.hostnames if entry and entry.key else ():
                keys.add(name, entry.key.get_name(), entry.key)
        return
    user = connection.ssh_config.get("userknownhostsfile", "~/.ssh/known_hosts")
    for file in (*user.split(), "/etc/ssh/ssh_known_hosts"):
        path = Path(file).expanduser()
        if path.is_file():
            client.load_system_host_keys(str(path))


def channel(transport: Session) -> Channel:
    """A channel of a connection; one that does not answer is ended, for all who wait on it."""
    from paramiko import ChannelException, SSHException

    try:
        return transport.open_session(timeout=CONNECT)
    except ChannelException:
        raise
    except (SSHException, EOFError, OSError):
        transport.close()
        raise


def keep_alive(transport: Session) -> None:
    """See now and then that a connection answers."""
    from paramiko import ChannelException, SSHException

    while transport.is_active():
        time.sleep(KEEPALIVE)
        try:
            channel(transport).close()
        except ChannelException:
            # It has no room for one more, but answers.
            continue
        except (SSHException, EOFError, OSError):
            return


def tune(sock: Any) -> None:
    """Let a connection send at once what is small, and end when it carries nothing any more."""
    import socket

    if isinstance(sock, socket.socket):
        # Else each command waits 40 ms for a packet to fill.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Else the kernel waits a quarter hour.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD * 1000)


def _known_hint(env: Mapping[str, str]) -> str:
    """Where a host's key is to be made known."""
    if env.get("SSH_KNOWN_HOSTS"):
        return "compare it on the server, then add its line to SSH_KNOWN_HOSTS"
    return "compare it on the server, then log in once with ssh, or set SSH_KNOWN_HOSTS"


def _key(env: Mapping[str, str]) -> PKey:
    """The key of SSH_PRIVATE_KEY: a text, or a file's path. Raises TaskError for what is none."""
    from paramiko import ECDSAKey, Ed25519Key, PasswordRequiredException, RSAKey, SSHException

    text = env["SSH_PRIVATE_KEY"]
    if "\n" not in text.strip() and Path(text.strip()).is_file():
        text = Path(text.strip()).read_text("utf-8")
    for kind in (Ed25519Key, RSAKey, ECDSAKey):
        try:
            return kind.from_private_key(StringIO(text.strip() + "\n"))
        except PasswordRequiredException:
            raise TaskError(
                "SSH_PRIVATE_KEY has a passphrase", "use the agent", ExitCode.REFUSED
            ) from None
        except (SSHException, ValueError, IndexError):
            continue
    hint = "the whole file of a key in OpenSSH's format, its first and last line too"
    raise TaskError("SSH_PRIVATE_KEY is no private key", hint, ExitCode.REFUSED)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """What goes wrong between here and a server, as TaskError."""
    import socket

    import paramiko
    from paramiko.ssh_exception import NoValidConnectionsError

    def fail(what: str, hint: str, kind: type[TaskError] = TaskError) -> NoReturn:
        raise kind(f"{name}: {what}", hint, ExitCode.REFUSED) from None

    try:
        yield
    except paramiko.BadHostKeyException as error:
        what = f"its key is not the known one: {error.key.get_name()} {error.key.fingerprint}"
        fail(what, "somebody may listen in; compare it on the server before you change known_hosts")
    except paramiko.AuthenticationException:
        fail("it refuses the login", "give a key that it knows: SSH_PRIVATE_KEY, agent or file")
    except socket.gaierror:
        fail("no such host", "correct hosts in invoke.yaml")
    except (TimeoutError, NoValidConnectionsError, ConnectionError, EOFError) as error:
        hint = "see that it is up, or take it out of hosts in invoke.yaml"
        fail(f"no answer over SSH ({_why(error)})", hint, HostUnreachable)
    except paramiko.SSHException as error:
        fail(*_broken(str(error)))


def _broken(said: str) -> tuple[str, str, type[TaskError]]:
    """What is wrong, what to do, and the kind of it, from what paramiko says."""
    if "authentication methods" in said:
        hint = "set SSH_PRIVATE_KEY, or add a key to the agent"
        return "no key to log in with", hint, TaskError
    hint = "see that it is up, or take it out of hosts in invoke.yaml"
    if "Timeout opening channel" in said:
        return f"no answer over SSH (none within {CONNECT} s)", hint, HostUnreachable
    if "banner" in said or "No existing session" in said:
        return f"no answer over SSH (no greeting within {CONNECT} s)", hint, HostUnreachable
    return f"SSH failed ({said})", "see that it is up, then run this again", HostUnreachable


def _why(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
