"""The records of an environment, each a folder on its first server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..errors import ExitCode, RemoteCommandError, TaskError, last_line
from ..ssh.host import Host

# First the place, then the folders, then the records; a folder that cannot be read is no empty one.
READ = r"""
set -eu; case "$1" in /*) ;; *) set -- "$PWD/$1" ;; esac
echo "$(id -un)@$(hostname):$1/releases"
if [ -e "$1/releases" ]; then
    cd "$1/releases"; ls; printf '\f'; tail -v -n +1 -- */release.json 2>/dev/null || true
fi
"""
# How tail begins each file.
HEADER = re.compile(r"^==> (\d+)/release\.json <==$", re.MULTILINE)
SHOW = 'cat "$1/releases/$2/$3"'
# The names of all versions of secrets and configs that recorded stacks use.
NAMES = 'cat "$1"/releases/*/stack.json 2>/dev/null | grep -o \'"name": "[^"]*"\' | sort -u || true'
# Atomic: a file is written beside the old one, then renamed. Of what comes from a deployer that is
# killed just then, some may lack: the size, in bytes, shows that.
WRITE = """
set -eu; umask 077; mkdir -p "$1/releases/$2"; cd "$1/releases/$2"
cat >"$3.part"; [ "$(wc -c <"$3.part")" -eq "$4" ] || { rm "$3.part"; exit 1; }
mv "$3.part" "$3"
"""
# Writes a file, and removes it, in the folder or in the nearest one that exists. What is no folder
# cannot be read, either.
TRY = """
set -eu; umask 077; path="$1/releases"
while [ ! -e "$path" ]; do
    case "$path" in ?*/*) path="${path%/*}";; /*) path=/;; *) path=.;; esac
done
[ -d "$path" ] || exit 0
file="$path/.preflight.$$"; trap 'rm -f "$file"' EXIT; echo writable >"$file"
"""
# One write for each line: lines of tasks at the same time do not mix. The server knows the address;
# its own log can be changed by root only. There logger cuts a line at 1 KiB, unless it has -S.
LOG = """
set -eu; umask 077; line="$(cat)"; from="${SSH_CONNECTION:-local}"
case "$line" in *"}") mkdir -p "$1" ;; *) exit 1 ;; esac
line="${line%?}, \\"address\\": \\"${from%% *}\\"}"
printf '%s\\n' "$line" >>"$1/$2"
{ logger -S 16384 -t deploy -- "$line" || logger -t deploy -- "$line"; } 2>/dev/null || true
"""
LOGGED = 'tail -n "$3" "$1/$2" 2>/dev/null || true'
AUDIT = "audit.log"
MAKE = 'if [ -d "$1" ]; then echo exists; else mkdir -p "$1"; fi'
DELETE = 'cd "$1/releases" && shift && rm -rf -- "$@"'


class HostStore:
    """Keeps records in a folder on a server; orchestrators.status.Store says what it promises."""

    def __init__(self, host: Host, path: str) -> None:
        self._host, self._path, self.name = host, path, host.name
        # The folder of all environments, so that the log stays when one is removed.
        self._all = path.rpartition("/")[0] or "."

    def read(self) -> tuple[str, dict[int, str]]:
        try:
            shown = self._host.run(READ, self._path, changes=False)
        except RemoteCommandError as error:
            hint = "log in as the user who deployed before, or make it readable for this one"
            what = f"cannot read the history of {self._host.name}: {last_line(error.output)}"
            raise TaskError(what, hint, ExitCode.REFUSED) from None
        folders, _, texts = shown.partition("\f")
        place, _, folders = folders.partition("\n")
        parts = HEADER.split(texts)
        found = dict(zip(parts[1::2], parts[2::2], strict=True))
        numbers = (name for name in folders.split() if name.isdigit())
        return place, {int(name): found.get(name, "") for name in numbers}

    def show(self, number: int, file: str) -> str | None:
        try:
            return self._host.run(SHOW, self._path, str(number), file, changes=False)
        except RemoteCommandError:
            return None

    def write(self, number: int, file: str, text: str) -> None:
        self._host.run(WRITE, self._path, str(number), file, str(len(text.encode())), text=text)

    def named(self) -> set[str]:
        lines = self._host.run(NAMES, self._path, changes=False).splitlines()
        return {line.split('"')[3] for line in lines}

    def delete(self, numbers: Sequence[int]) -> None:
        self._host.run(DELETE, self._path, *map(str, numbers))

    def problems(self) -> list[str]:
        """Return why nothing can be written."""
        try:
            self._host.run(TRY, self._path, changes=False)
        except RemoteCommandError as error:
            reason = last_line(error.output).rpartition(": ")[2]
            hint = "let its user write there and free some space, or change deploy.path"
            return [f"{self._host.name}: cannot write in {self._path} ({reason}) - {hint}"]
        return []

    def log(self, line: str) -> None:
        self._host.run(LOG, self._all, AUDIT, text=line)

    def logged(self, count: int) -> list[str]:
        return self._host.run(LOGGED, self._all, AUDIT, str(count), changes=False).splitlines()

    def set_up(self) -> Iterator[str]:
        if not self._host.run(MAKE, self._path):
            yield f"{self._host.name}: folder {self._path}"

    def remove(self) -> None:
        self._host.run('rm -rf -- "$1"', self._path)
