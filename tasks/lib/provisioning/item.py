"""An item of a server's state: a script that looks, what differs, a script that makes it so."""

from __future__ import annotations

import re
import shlex
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import TaskError

# In each file that is written; one without it belongs to somebody else.
MARK = "Written by inv server.setup; it is overwritten"


@dataclass(frozen=True)
class Difference:
    """What is not as it should be. With a hint, a person must act: nothing is changed before."""

    what: str
    hint: str = ""


@dataclass(frozen=True)
class Item:
    """A part of a server's state. Its scripts are run as root.

    Args:
        look: prints the state, and changes nothing.
        compare: says what differs in a state.
        make: returns the script that makes a state right; run again, it changes nothing.
        undo: takes it back, should no new SSH connection be possible afterwards.
    """

    name: str
    look: str
    compare: Callable[[str], list[Difference]]
    make: Callable[[str], str]
    undo: str = ""


def parsed(pattern: str, state: str) -> re.Match[str]:
    """Match a whole state. Raises TaskError if it has another form."""
    if found := re.fullmatch(pattern, state, re.DOTALL):
        return found
    raise TaskError(f"unexpected state {state[:80]!r}", "run it again with --echo")


def write(path: str, text: str, mode: str = "644") -> str:
    """Return a script that writes a file atomically, whatever its text."""
    name, new = shlex.quote(path), shlex.quote(f"{path}.new")
    data = b64encode(text.encode()).decode()
    folder = shlex.quote(path.rpartition("/")[0])
    return (
        f"mkdir -p {folder}\nprintf %s '{data}' | base64 -d >{new}\n"
        f"chmod {mode} {new}\nmv {new} {name}\n"
    )


def file(name: str, path: str, text: str, mode: str = "644", then: str = "") -> Item:
    """Return the item of a file of ours; `then` is run after it was written."""

    def compare(state: str) -> list[Difference]:
        if state == text.strip():
            return []
        if state and MARK not in state:
            return [Difference(f"{path} was not written by us", "move it away there")]
        return [Difference(f"{path} differs" if state else f"{path} is missing")]

    look = f"cat {shlex.quote(path)} 2>/dev/null || true"
    return Item(name, look, compare, lambda _: write(path, text, mode) + then)
