"""Why a connection failed, and what to do, from what ssh printed with its option -v."""

import os.path
import re

from ..errors import ExitCode, TaskError
from .client import ALIVE, CONNECT, MISSED

CHECK_HOST = "check that the host is up, or remove it from `hosts` in invoke.yaml"
VERIFY = "verify the fingerprint on the server"
ATTACK = "possible man-in-the-middle attack;"
# What ssh prints when a server, or a file of ours, is the reason; what it means, and what to do.
# {1} and {2} are parts of what was printed; {key} and {host} are the server's. The first counts.
REFUSALS = (
    (r"^(/.+ line \d+: .+|Bad owner or permissions on .+)", "ssh configuration: {1}", "correct it"),
    ("^@ .*IDENTIFICATION HAS CHANGED", "host key mismatch: {key}",
     f"{ATTACK} {VERIFY} before updating known_hosts"),
    ("^@ .*REVOKED HOST KEY", "host key is revoked: {key}",
     f"{ATTACK} ask who marked it as @revoked in known_hosts"),
    ("^Certificate invalid: (.+)", "the certificate of its host key is invalid: {1}",
     "sign the host key again, for this name"),
    ("^Host key verification failed", "host key of {host} is not known: {key}",
     f"{VERIFY}, then {{add}} SSH_KNOWN_HOSTS"),
    (r"^Unable to negotiate .+: (no matching .+) found\. Their offer: (\S{1,99})",
     "{1}: the server has only {2}", "update OpenSSH there or here"),
    ("Too many authentication failures", "SSH authentication failed: too many keys were tried",
     "name its key in ~/.ssh/config: IdentityFile, with IdentitiesOnly yes"),
    (r"^Permissions \d+ for '(.+)' are too open", "other users can read the key {1}",
     "chmod 600 {1}"),
    ("(agent refused operation|device not found)", "the key cannot be used: {1}",
     "unlock ssh-agent, or connect the key's device"),
    ("Could not resolve hostname", "could not resolve the hostname",
     "correct `hosts` in invoke.yaml"),
    ("connect failed: open failed", "the server opens no session",
     "raise MaxSessions in its sshd_config"),
    ("administratively prohibited", "its jump host does not forward connections",
     "set AllowTcpForwarding there, or use another jump host"),
)  # fmt: skip
# The same for a login that is refused: they depend on the keys that were tried.
DENIED = "Permission denied ("
# What ssh prints if nothing answers.
SILENCE = (
    "Connection (refused|timed out|reset|closed)|connect failed|timed out|not responding"
    "|Broken pipe|No route to host|unreachable|Host is down|closed by remote host"
)


# What a log has besides reasons.
NOISE = ("debug", "OpenSSH_", "Authenticated to ", "Transferred: ", "Bytes per second: ")


class HostUnreachable(TaskError):
    """A server does not answer over SSH."""


class LoginRefused(TaskError):
    """A server refuses the login; it may accept a key that has a passphrase."""


def explain(name: str, log: str, printed: str, known: bool) -> TaskError:
    """Return the error of a connection that did not come about.

    Args:
        printed: what the user's shell printed there before it ran commands, or instead.
        known: the known hosts are those of SSH_KNOWN_HOSTS.
    """
    for pattern, what, hint in REFUSALS:
        if found := re.search(pattern, log, re.MULTILINE):
            parts = {"key": _host_key(log), "host": _host(log) or name}
            parts["add"] = "add its line to" if known else "log in once with ssh, or set"
            what, hint = (text.format(found[0], *found.groups(), **parts) for text in (what, hint))
            whose = "" if parts["host"] in what else f"{name}: "
            return TaskError(f"{whose}{what}", hint, ExitCode.REFUSED)
    if DENIED in log:
        what, hint = _denied(log)
        return LoginRefused(f"{name}: {what}", hint, ExitCode.REFUSED)
    if "Authenticated to" in log and not re.search(SILENCE, _reason(log)):
        since = log.rpartition("Authenticated to ")[2].partition("\n")[2]
        what = (printed or _reason(since)).splitlines()[0][:80]
        hint = "see ~/.bashrc and the login shell of the user there"
        what = f"{name}: its shell prints {what!r} instead of running only the command"
        return TaskError(what, hint, ExitCode.REFUSED)
    return lost(name, log)


def lost(name: str, log: str) -> TaskError:
    """Return the error of a connection that broke, or that nothing answered."""
    line = _reason(log)
    # Who closes a connection after the greeting answers, and has a reason.
    greeted = "Remote protocol version" in log and "Authenticated to" not in log
    if (greeted and re.search("closed by|reset by", line)) or not re.search(SILENCE, line):
        return TaskError(f"{name}: SSH failed ({line})", "see sshd's log there", ExitCode.REFUSED)
    what = f"SSH failed ({line})"
    if re.search("timed out|not responding", line):
        alive = "Authenticated to" in log
        missing = f"answer within {ALIVE * MISSED} s" if alive else f"banner within {CONNECT} s"
        what = f"SSH timed out (no {missing})"
    return HostUnreachable(f"{name}: {what}", CHECK_HOST, ExitCode.REFUSED)


def _reason(log: str) -> str:
    """Return the line that says why; ssh's last one often only follows from it."""
    lines = [line.strip() for line in log.splitlines() if not line.startswith(NOISE)]
    lines = [line for line in lines if line] or ["no output"]
    silent = [line for line in lines if re.search(SILENCE, line)] or lines[-1:]
    found = next((line for line in silent if "UNKNOWN port" not in line), silent[0])
    before = r"^(ssh|kex_exchange_identification|channel \d+|.+ UNKNOWN port \d+): "
    return re.sub(before, "", found)


def _denied(log: str) -> tuple[str, str]:
    """Return why no key was accepted, and what to do."""
    accepted = re.findall(r"^debug1: Server accepts key: (\S+)", log, re.MULTILINE)
    tried = re.findall(r"^debug1: Trying private key: (\S+)", log, re.MULTILINE)
    unread = [file for file in accepted + tried if os.path.isfile(file)]
    if unread:
        return f"the key {unread[-1]} has a passphrase", f"ssh-add {unread[-1]}, or use a terminal"
    if "debug1: Offering public key" not in log:
        return "no key to log in with", "set SSH_PRIVATE_KEY, or add a key to ssh-agent"
    hint = "provide an authorized key: SSH_PRIVATE_KEY, ssh-agent or a key file"
    return "SSH authentication failed", hint


def _host_key(log: str) -> str:
    """Return the type and the fingerprint of the last host key that was shown."""
    sign = r"^debug1: Server host (?:key|certificate): ([a-z0-9-]+?)(?:-cert-v01)?(?:@\S+)? "
    keys = re.findall(f"{sign}(SHA256:[^,\\s]+)", log, re.MULTILINE)
    return " ".join(keys[-1]) if keys else "unknown"


def _host(log: str) -> str:
    """Return the name that known_hosts would have for the last host that was asked."""
    sign = r"^debug1: (?:using hostkeyalias: (.+)|Authenticating to (.+):(\d+) as )"
    found = re.findall(sign, log, re.MULTILINE)
    alias, host, port = found[-1] if found else ("", "", "22")
    return alias or (host if port == "22" else f"[{host}]:{port}")


def unreadable(log: str) -> list[str]:
    """Return a warning for each line of known_hosts that ssh could not read."""
    found = re.findall(r"^debug1: (.+:\d+): parse error in hostkeys file", log, re.MULTILINE)
    found += re.findall(r"^hostkeys_foreach_file: invalid marker at (.+:\d+)", log, re.MULTILINE)
    return [
        f"{place} cannot be read - correct or remove the line" for place in dict.fromkeys(found)
    ]
