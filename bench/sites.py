"""A lab of our own, and the app in it twice: deployed our way, and the old way by hand."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from tests.testbed.labs import started
from tests.testbed.scratch import Scratch
from tests.testbed.sites import Site

# What our image is built from bears the mark from here on, by which the build cache tells it.
STAGE = "FROM base AS code\n"
# The environment of ours, and of theirs the stack's name and the port of the first server's.
ENVIRONMENT, NAIVE, PORT = "lab", "naive", 83


@dataclass
class Lab:
    """A lab of so many servers, and what is deployed to it: the site is ours."""

    scratch: Scratch
    nodes: int
    site: Site

    def __post_init__(self) -> None:
        self.folder = self.scratch.root / ".lab" / self.scratch.mark
        self.facts = json.loads((self.folder / "lab.json").read_text())

    def change(self) -> str:
        """Build, push and mark as tested one more line of code; returns the commit."""
        self.scratch.change()
        return self.site.build("a change")

    def enlarged(self, replicas: int) -> Site:
        """Ours with another number of replicas than the lab's settings say."""
        settings = self.site.settings
        settings["environments"][ENVIRONMENT]["values"]["REPLICAS"] = replicas
        return self.changed(settings)

    def changed(self, settings: dict[str, Any]) -> Site:
        """Ours with other settings than the lab's."""
        file = self.scratch.folder / "changed.yaml"
        file.write_text(yaml.safe_dump(settings))
        return self.site.at(ENVIRONMENT, INVOKE_RUNTIME_CONFIG=str(file))


@contextmanager
def lab(scratch: Scratch, nodes: int, orchestrator: str = "") -> Iterator[Lab]:
    """Start a lab, which bears the mark and is removed at the end.

    Args:
        nodes: how many servers it has; 0 for as many as lab.up makes.
        orchestrator: what runs its containers; empty for a Swarm.
    """
    dockerfile = scratch.root / "Dockerfile"
    text, marked = dockerfile.read_text(), f"{STAGE}RUN : {scratch.mark}\n"
    if marked not in text:
        dockerfile.write_text(text.replace(STAGE, marked))
    known = scratch.folder / "lab", scratch.mark, nodes, scratch.root
    with started(*known, orchestrator=orchestrator) as exports:
        yield Lab(scratch, nodes, Site(scratch.root, exports, ENVIRONMENT))


class Theirs:
    """Deployed by hand: the stack's file copied, a login on the server, `docker stack deploy`."""

    def __init__(self, lab: Lab, port: int = PORT) -> None:
        self.lab, self.scratch, self.env, self.port = lab, lab.scratch, lab.site.lab, port
        # The lab publishes the server's ports from 80 on.
        self.url = f"http://127.0.0.1:{lab.facts['http'][port - 80]}"
        hosts = f"UserKnownHostsFile={lab.folder}/known_hosts"
        self.options = ["-F", "none", "-i", f"{lab.folder}/key", "-o", hosts]
        self.options += ["-o", f"Port={lab.facts['ssh'][0]}"]

    def values(self, commit: str, image: str = "") -> dict[str, str]:
        """The variables for a commit: the image that we built of it, or one that is named."""
        image = image or f"{self.lab.site.settings['registry']['image']}:{commit}"
        known = {"IMAGE": image, "VERSION": commit, "PORT": str(self.port), "SITE_URL": self.url}
        return known | {key: self.env[key] for key in ("SECRET_KEY", "POSTGRES_PASSWORD")}

    @property
    def login(self) -> str:
        """The shell's words for a login to the registry."""
        names = (f"CI_REGISTRY{end}" for end in ("_USER", "_PASSWORD", ""))
        user, password, host = (shlex.quote(self.env[name]) for name in names)
        return f"echo {password} | docker login --username {user} --password-stdin {host}"

    def deploy(self, commit: str, image: str = "") -> float:
        """Seconds to deploy a commit; see values."""
        file = self.scratch.folder / "naive.env"
        values = self.values(commit, image).items()
        file.write_text("".join(f"{key}={value}\n" for key, value in values))
        stack = "docker stack deploy --with-registry-auth --prune --compose-file naive.stack.yml"
        # Swarm refuses it now and then ("update out of sequence"): a person types it once more.
        stack = f"{stack} {NAIVE} || {stack} {NAIVE}"
        here = "deploy@127.0.0.1"
        steps = (
            ["scp", "-q", *self.options, "bench/naive.stack.yml", str(file), f"{here}:"],
            ["ssh", *self.options, here, self.login],
            ["ssh", *self.options, here, f"set -a && . ./naive.env && {{ {stack}; }}"],
        )
        return sum(self.scratch.seconds(*words) for words in steps)
