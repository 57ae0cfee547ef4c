"""A server whose items are looked at and made so, as root, over one SSH connection."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..errors import ExitCode, TaskError
from ..ssh.host import Host
from .item import Difference, Item

# The script comes by stdin: arguments can be seen by all users of a server.
ROOT = 'if [ "$(id -u)" = 0 ]; then exec sh -s; else exec sudo -n sh -s; fi'
# What the script runs must not read the rest of the script.
FRAME = """main() {{
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
{script}
}}
main </dev/null
"""
LOOK = """set +e
state=$(
set -e
{look}
)
status=$?
set -e
printf '%s %s %s\\n' {number} "$status" "$(printf %s "$state" | base64 -w 0)"
"""
# Seconds that a script may take: packages are downloaded and installed.
PATIENCE = 900


def as_root(host: Host, script: str, changes: bool = True) -> str:
    """Run a script as root on a server, and return what it prints."""
    return host.run(ROOT, text=FRAME.format(script=script), changes=changes, seconds=PATIENCE)


@dataclass
class Server:
    """A server and the items of its state, in the order in which they are made.

    Args:
        undo: scripts that take back what was made, the last first.
    """

    host: Host
    items: Sequence[Item]
    undo: list[str] = field(default_factory=list)

    def differences(self) -> list[tuple[Item, Difference]]:
        """Return everything that differs."""
        states = look(self.host, self.items)
        pairs = zip(self.items, states, strict=True)
        return [(item, each) for item, state in pairs for each in item.compare(state)]

    def line(self, item: Item, found: Difference) -> str:
        """Return a difference as a line."""
        return f"{self.host.name}: {item.name}: {found.what}"

    def make(self) -> Iterator[str]:
        """Make each item that differs; yield a line for each change.

        Raises TaskError for one that still differs afterwards or, at the end, for those that a
        person must change.
        """
        left: list[str] = []
        for item in self.items:
            (state,) = look(self.host, [item])
            found = item.compare(state)
            if lines := self._for_a_person(item, found):
                left += lines
            elif found:
                as_root(self.host, item.make(state))
                self.undo[:0] = [item.undo] if item.undo else []
                done = ", ".join(each.what for each in found)
                yield f"{self.host.name}: set up {item.name} ({done})"
                left += self._left(item)
        if left:
            raise TaskError("\ninv: ".join(left), code=ExitCode.PERSON)

    def _for_a_person(self, item: Item, found: Sequence[Difference]) -> list[str]:
        return [f"{self.line(item, each)} - {each.hint}" for each in found if each.hint]

    def _left(self, item: Item) -> list[str]:
        """Look again: the exit status of a script says little. Return what a person must do."""
        found = item.compare(look(self.host, [item])[0])
        lines = self._for_a_person(item, found)
        if found and not lines:
            hint = "look there for what changes it, then run this again"
            raise TaskError(f"{self.line(item, found[0])}, still", hint)
        return lines


def look(host: Host, items: Sequence[Item]) -> list[str]:
    """Return the states of items, in one call. Raises TaskError for an answer of another form."""
    scripts = (LOOK.format(number=n, look=each.look) for n, each in enumerate(items))
    answer = as_root(host, "\n".join(scripts), changes=False)
    return [_state(host, *pair) for pair in zip(items, _lines(host, answer, items), strict=True)]


def _lines(host: Host, answer: str, items: Sequence[Item]) -> list[str]:
    lines = answer.splitlines()
    if [line.partition(" ")[0] for line in lines] == [str(n) for n in range(len(items))]:
        return lines
    said = lines[-1][:80] if lines else "nothing"
    raise TaskError(f"{host.name}: unexpected answer ({said})", "check root's shell there")


def _state(host: Host, item: Item, line: str) -> str:
    found = re.fullmatch(r"\d+ (\d+) ([A-Za-z0-9+/=]*)", line)
    if not found or found[1] != "0":
        what = f"{host.name}: {item.name}: its state cannot be read ({line[:80]})"
        raise TaskError(what, "run this again with --echo to see the script")
    return b64decode(found[2]).decode(errors="replace").strip()
