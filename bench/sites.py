"""A lab of our own, and the app in it twice: deployed our way, and the old way by hand."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from scratch import ROOT, Scratch

# What is in a lab is looked at in the same way as by the tests.
sys.path.append(str(ROOT))
from tests.lab.support import Site

# What our image is built from bears the mark from here on, by which the build cache tells it.
STAGE = "FROM base AS code\n"
# The environment of ours, and of theirs the stack's name and the port of the first server's.
ENVIRONMENT, NAIVE, PORT = "lab", "naive", 83


class Lab:
    """A lab of so many servers while it lasts, and what is deployed to it.

    Attributes:
        site: ours, as the tests look at it.
        facts: its ports and passwords.
    """

    def __init__(self, scratch: Scratch, nodes: int) -> None:
        self.scratch, self.nodes = scratch, nodes
        dockerfile = scratch.tree / "Dockerfile"
        marked = f"{STAGE}RUN : {scratch.mark}\n"
        if marked not in dockerfile.read_text():
            dockerfile.write_text(dockerfile.read_text().replace(STAGE, marked))
        # A name of its own, by which its containers are found among those of other labs.
        self.name = scratch.mark
        self.folder = scratch.tree / ".lab" / self.name

    def __enter__(self) -> Lab:
        try:
            words = ("lab.up", f"--name={self.name}", f"--nodes={self.nodes}")
            exports = self.scratch.folder / "exports"
            # What it prints meanwhile is no line for the shell.
            self.scratch.run("sh", "-c", f"./inv {shlex.join(words)} >{exports}")
        except BaseException:
            self.__exit__()
            raise
        told = shlex.split(exports.read_text())[1::2]
        self.env = dict(each.split("=", 1) for each in told) | {
            "LAB_NAME": self.name, "DOCKER_CONFIG": str(self.scratch.folder / "docker-config")
        }  # fmt: skip
        self.site = Site(self.scratch.tree, self.env, ENVIRONMENT)
        self.facts = json.loads((self.folder / "lab.json").read_text())
        return self

    def __exit__(self, *_: object) -> None:
        """Remove it; a second Ctrl-C does not stop that."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.scratch.run("./inv", "lab.down", f"--name={self.name}")
        except RuntimeError as error:
            print(f"bench: {error}", file=sys.stderr)
        signal.signal(signal.SIGINT, before)

    def build(self) -> str:
        """Build, push and mark as tested what is in the copy; returns the commit."""
        commit = self.scratch.commit()
        self.scratch.run("./inv", "build", "--push", **self.env)
        self.site.mark(commit)
        return commit

    def change(self) -> str:
        """The same, after one more line in the code."""
        self.scratch.change()
        return self.build()

    def logins(self) -> int:
        """How many SSH connections the first server has had until now."""
        return int(self.site.on("node1", "grep -c 'Accepted publickey' /var/log/sshd.log || true"))


class Ours:
    """Deployed by `inv deploy`.

    Args:
        replicas: of the app; 0 for as many as the lab's settings say.
    """

    def __init__(self, lab: Lab, replicas: int = 0) -> None:
        self.lab, self.url, self.env = lab, lab.site.url, dict(lab.env)
        if replicas:
            settings = yaml.safe_load(Path(lab.env["INVOKE_RUNTIME_CONFIG"]).read_text())
            settings["environments"][ENVIRONMENT]["values"]["REPLICAS"] = replicas
            file = lab.scratch.folder / "replicas.yaml"
            file.write_text(yaml.safe_dump(settings))
            self.env["INVOKE_RUNTIME_CONFIG"] = str(file)

    def deploy(self, commit: str) -> float:
        """Seconds to deploy a commit."""
        return self._inv("deploy", f"--ref={commit}")

    def rollback(self) -> float:
        """Seconds to go back to the release before."""
        return self._inv("rollback")

    def _inv(self, *words: str) -> float:
        return self.lab.scratch.seconds("./inv", *words, f"--env={ENVIRONMENT}", **self.env)

    def fail(self, commit: str) -> list[tuple[float, str]]:
        """What a deploy prints that fails, with the time of each line."""
        words = ("./inv", "deploy", f"--ref={commit}", f"--env={ENVIRONMENT}")
        status, lines = self.lab.scratch.timed(*words, **self.env)
        if status != 1:
            raise RuntimeError(f"{commit} does not fail:\n{''.join(line for _, line in lines)}")
        return lines

    def start(self, since: float) -> float:
        """Seconds from a replica's start until it was healthy; of the slowest begun since then."""
        found = []
        for each in self.replicas("health=healthy"):
            began = moment(each["State"]["StartedAt"])
            checks = [log for log in each["State"]["Health"]["Log"] if not log["ExitCode"]]
            if began > since and checks:
                found.append(moment(checks[0]["End"]) - began)
        return max(found)

    def drain(self) -> float:
        """Seconds that a replica goes on serving when it is to go."""
        lines = self.replicas()[0]["Config"]["Env"]
        return float(dict(line.split("=", 1) for line in lines)["WEB_DRAIN"])

    def died(self, code: int) -> float:
        """When the first replica ended with an exit code."""
        ended = self.replicas("status=exited", f"exited={code}")
        return min(moment(each["State"]["FinishedAt"]) for each in ended)

    def replicas(self, *filters: str) -> list[dict[str, Any]]:
        """The first server's containers of the app, as docker inspects them."""
        service = f"label=com.docker.swarm.service.name={self.lab.site.stack}_app"
        chosen = shlex.join(f"--filter={each}" for each in (service, *filters))
        script = f"docker ps --all --quiet {chosen} | xargs --no-run-if-empty docker inspect"
        return json.loads(self.lab.site.on("node1", script) or "[]")


class Theirs:
    """Deployed by hand: the stack's file copied, a login on the server, `docker stack deploy`."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.env = lab, lab.env
        # The lab publishes the server's ports from 80 on.
        self.url = f"http://127.0.0.1:{lab.facts['http'][PORT - 80]}"
        key, hosts = lab.folder / "key", lab.folder / "known_hosts"
        self.options = ["-i", str(key), "-o", f"UserKnownHostsFile={hosts}", "-F", "none"]
        self.port = str(lab.facts["ssh"][0])

    def deploy(self, commit: str, image: str = "") -> float:
        """Seconds to deploy a commit: the image that we built of it, or one that is named."""
        image = image or f"{self.lab.site.settings['registry']['image']}:{commit}"
        values = {
            "IMAGE": image, "VERSION": commit, "PORT": str(PORT), "SITE_URL": self.url,
            "SECRET_KEY": self.env["SECRET_KEY"],
            "POSTGRES_PASSWORD": self.env["POSTGRES_PASSWORD"],
        }  # fmt: skip
        file = self.lab.scratch.folder / "naive.env"
        file.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
        user, password, host = (
            shlex.quote(self.env[f"CI_REGISTRY{end}"]) for end in ("_USER", "_PASSWORD", "")
        )
        login = f"echo {password} | docker login --username {user} --password-stdin {host}"
        stack = "docker stack deploy --with-registry-auth --prune --compose-file naive.stack.yml"
        return (
            self._scp("bench/naive.stack.yml", str(file))
            + self._ssh(login)
            + self._ssh(f"set -a && . ./naive.env && {stack} {NAIVE}")
        )

    def _scp(self, *files: str) -> float:
        words = ["scp", "-q", *self.options, "-P", self.port, *files, "deploy@127.0.0.1:"]
        return self.lab.scratch.seconds(*words)

    def _ssh(self, script: str) -> float:
        words = ["ssh", *self.options, "-p", self.port, "deploy@127.0.0.1", script]
        return self.lab.scratch.seconds(*words)


def moment(text: str) -> float:
    """A time that docker tells, in seconds."""
    return datetime.fromisoformat(text).timestamp()
