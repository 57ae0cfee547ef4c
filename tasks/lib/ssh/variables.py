"""SSH_PRIVATE_KEY and SSH_KNOWN_HOSTS, in each form in which a CI variable can hold them."""

import base64
import os.path
import re
import textwrap
from pathlib import Path

from ..errors import ExitCode, TaskError

KEY, KNOWN = "SSH_PRIVATE_KEY", "SSH_KNOWN_HOSTS"
PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
# How the inside of a key in OpenSSH's format begins; the PEM lines around it may be missing.
OPENSSH = b"openssh-key-v1\0"
HOST_KEY = re.compile(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+")


def private_key(value: str) -> str:
    """Return the key of SSH_PRIVATE_KEY as a key file has it. Raises TaskError if there is none.

    The variable has the key file's text, with or without its line breaks, its base64, or its path.
    """
    text = _text(KEY, value)
    found = PEM.search(_decoded(text) or text)
    if found is None:
        hint = "set it to a whole key file, first and last line included, to its base64 or its path"
        raise TaskError(f"{KEY} is not a private key", hint, ExitCode.REFUSED)
    kind, body = found[1], found[2].strip()
    # A body with headers (Proc-Type: ...) is not base64 alone.
    lines = body if ":" in body else "\n".join(textwrap.wrap("".join(body.split()), 70))
    return f"-----BEGIN {kind}-----\n{lines}\n-----END {kind}-----\n"


def known_hosts(value: str) -> str:
    """Return the lines of SSH_KNOWN_HOSTS, which has them, their base64, or a file's path."""
    text = _text(KNOWN, value)
    text = _decoded(text) or text
    words = text.split()
    starts = [_start(words, at) for at, word in enumerate(words) if HOST_KEY.fullmatch(word)]
    if "\n" not in text and len(starts) > 1:
        ends = zip(starts, [*starts[1:], len(words)], strict=True)
        text = "\n".join(" ".join(words[start:end]) for start, end in ends)
    return f"{text}\n"


def _start(words: list[str], at: int) -> int:
    """Return where the line begins that has its key type at a place: at its marker, or its host."""
    marked = at > 1 and words[at - 2] in {"@cert-authority", "@revoked"}
    return at - 2 if marked else max(at - 1, 0)


def _text(name: str, value: str) -> str:
    """Return the text of a variable, or of the file that it names, with plain line breaks."""
    text = value.strip()
    if "\n" not in text and os.path.isfile(text):
        try:
            text = Path(text).read_text("utf-8", "replace")
        except OSError as error:
            what = f"{name}: the file that it names cannot be read ({error.strerror})"
            raise TaskError(what, "correct its path or its permissions", ExitCode.REFUSED) from None
    return "\n".join(text.strip().strip("'\"").replace("\\n", "\n").splitlines()).strip()


def _decoded(text: str) -> str:
    """Return what a text is the base64 of; empty if it is none."""
    try:
        plain = base64.b64decode("".join(text.split()), validate=True)
        if plain.startswith(OPENSSH):
            kind = "OPENSSH PRIVATE KEY"
            return f"-----BEGIN {kind}-----\n{text}\n-----END {kind}-----"
        return "\n".join(plain.decode().splitlines())
    except ValueError:
        return ""
