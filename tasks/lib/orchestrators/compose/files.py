"""The files of a stack on its server, each in a volume: secrets, configs, the proxy's view."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .. import secret_reader
from ..engine import next_version, versions
from ..stack import STACK, Stack
from . import networks
from .rendering import VALUE, copy_name, mounts
from .server import Server

# The label of a volume that says what it is: a secret's version, a config's, or data.
KIND, SECRET, CONFIG, DATA = "deploy.kind", "secret", "config", "data"
# An image without anything in it: a container of it lets docker copy files to volumes.
EMPTY, TAR_END = "deploy-files:1", "\0" * 10240
# The volume with the names that the proxy looks up; compose/onehost.yml.
VIEW = "view"
# Options of a container that runs a shell script as root, with nothing but its volumes.
ALONE = ("--rm", "--network=none", "--user=0:0", "--cap-drop=ALL", "--entrypoint=sh")
# Copies of secrets for those who use them: $0 is where the volumes are, then come triples of a
# volume, a copy's name and its owner's ID, group and mode in one.
COPIES = """
set -eu
for use in "$@"; do
    folder=$0/${use%%/*} copy=${use#*/}; mode=${copy##*.} owner=${copy%.*}
    if [ ! -e "$folder/value" ]; then
        echo "${use%%/*} was not stored whole: inv secrets.set" >&2
        exit 1
    fi
    [ -e "$folder/$copy" ] && continue
    cp "$folder/value" "$folder/.$copy"
    chown "${owner%.*}:${owner#*.}" "$folder/.$copy"
    chmod "$mode" "$folder/.$copy"
    mv "$folder/.$copy" "$folder/$copy"
done
"""
# Each name is there whole or not at all: the proxy reads it with every request.
LOOK = """
set -eu
cd "$0"
for name in "$@"; do
    printf %s "${name#*=}" >.new
    mv .new "${name%%=*}"
done
"""


class Files:
    """The volumes of a stack."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._there: set[str] = set()

    def volumes(self, kind: str = "") -> list[str]:
        """Return the names of the stack's volumes of a kind, or of all kinds."""
        return self.server.names("volume", *self.server.of(*([f"{KIND}={kind}"] if kind else [])))

    def secrets(self) -> dict[str, list[str]]:
        """Return the versions of each secret, the newest first."""
        return versions(self.server.stack, self.volumes(SECRET))

    def set_secret(self, name: str, value: str) -> str:
        """Store a secret's next version, a volume of its own; return its name."""
        made = next_version(self.server.stack, name, self.secrets())
        self._store(made, SECRET, value, 0o400)
        # One of this name may have been removed.
        self._there = {each for each in self._there if not each.startswith(f"{made}/")}
        return made

    def read_secrets(self, image: str) -> dict[str, str]:
        """Return each secret's newest value; see base.Orchestrator.read_secrets."""
        mounts = [
            f"--mount=type=volume,source={versions[0]},target={secret_reader.FOLDER}/{key},"
            f"readonly,volume-subpath={VALUE}"
            for key, versions in self.secrets().items()
        ]
        options = [*ALONE, "--log-driver=none", "--read-only", *mounts]
        words = ("run", *options, image, "-c", secret_reader.SHOW)
        return secret_reader.values(self.server.run(*words)) if mounts else {}

    def _store(self, volume: str, kind: str, value: str, mode: int) -> None:
        """Make a volume with one file."""
        if not self.server.query("image", "ls", "--quiet", EMPTY):
            self.server.run("image", "import", "-", EMPTY, text=TAR_END)
        self._volume(volume, kind)
        words = ("--label", f"{STACK}={self.server.stack}", "--volume", f"{volume}:/files")
        made = self.server.run("container", "create", *words, EMPTY, "none")
        try:
            # A tar file: its text is no argument that others could see.
            self.server.run("cp", "--archive", "-", f"{made}:/files", text=_tar(value, mode))
        finally:
            self.server.run("container", "rm", made)

    def _volume(self, name: str, kind: str, *options: str) -> None:
        labels = (f"--label={STACK}={self.server.stack}", f"--label={KIND}={kind}")
        self.server.repeat("volume", "create", *labels, *options, name)

    def prepare(self, stack: Stack, services: Iterable[Mapping[str, Any]]) -> None:
        """Make the networks, the volumes and the files that services of a stack need."""
        networks.prepare(self.server, stack)
        there = self.server.names("volume", f"name={self.server.stack}_")
        for each in stack.content.get("volumes", {}).values():
            if not each.get("external") and each["name"] not in there:
                options = [f"--opt={k}={v}" for k, v in (each.get("driver_opts") or {}).items()]
                self._volume(
                    each["name"], DATA, f"--driver={each.get('driver', 'local')}", *options
                )
        for name in sorted(stack.configs.keys() - {*there}):
            self._store(name, CONFIG, stack.configs[name], 0o444)
        self._copy(stack, services)

    def _copy(self, stack: Stack, services: Iterable[Mapping[str, Any]]) -> None:
        """Make the copies of secrets that services use, each with its owner and mode."""
        services = list(services)
        pairs = (pair for service in services for pair in mounts(stack, service))
        wanted = {f"{mount['source']}/{copy_name(use)}" for mount, use in pairs if use}
        if new := sorted(wanted - self._there):
            volumes = sorted({each.partition("/")[0] for each in new})
            # A stack without the app has another image with a shell: that of what has the secrets.
            image = stack.image or next(x["image"] for x in services if x.get("secrets"))
            self._shell(image, {each: f"/files/{each}" for each in volumes}, COPIES, new)
            self._there |= wanted

    def look(self, stack: Stack, names: Mapping[str, str]) -> None:
        """Let the proxy look up these names for these services from now on."""
        if view := stack.content.get("volumes", {}).get(VIEW):
            pairs = [f"{service}={name}" for service, name in sorted(names.items())]
            self._shell(stack.image, {view["name"]: "/files"}, LOOK, pairs)

    def _shell(
        self, image: str, volumes: Mapping[str, str], script: str, words: Sequence[str]
    ) -> None:
        """Run a shell script in an image, as root, with nothing but volumes."""
        options = [*ALONE, *(f"--cap-add={each}" for each in ("CHOWN", "DAC_OVERRIDE", "FOWNER"))]
        options += [f"--volume={volume}:{folder}" for volume, folder in volumes.items()]
        self.server.repeat("run", *options, image, "-c", script, "/files", *words)


def _tar(value: str, mode: int) -> str:
    """Return a tar file with one file."""
    data, whole = value.encode(), io.BytesIO()
    entry = tarfile.TarInfo(VALUE)
    entry.size, entry.mode = len(data), mode
    with tarfile.open(fileobj=whole, mode="w") as archive:
        archive.addfile(entry, io.BytesIO(data))
    return whole.getvalue().decode()
