"""Docker on a bare server, and its configuration: what every orchestrator on Docker needs."""

from __future__ import annotations

import re

from ..provisioning import item, system
from ..provisioning.facts import Facts
from ..provisioning.item import Difference, Item
from . import daemon
from .daemon import CONFIG
from .preflight import DOCKER

DISTRIBUTION = "distribution"
# The packages of the distribution, and those of Docker's own repository.
PACKAGES = ("docker.io", "containerd", "runc")
OWN = ("docker-ce", "docker-ce-cli", "containerd.io")
HELD = {*PACKAGES, *OWN}
# The version that is there or, after "none", the one that the distribution's lists have.
VERSION = """dockerd --version 2>/dev/null ||
    echo none "$(apt-cache policy docker.io 2>/dev/null | sed -n 's/^ *Candidate: //p')"
"""
# An engine that has just been installed may still be starting.
ENGINE = f"""
for _ in $(seq 60); do
    if docker version >/dev/null 2>&1 || ! pidof dockerd >/dev/null; then break; fi
    sleep 0.5
done
if ! docker version >/dev/null 2>&1; then echo down
elif [ -e /run/docker.pid ] && [ {CONFIG} -nt /run/docker.pid ]; then
    echo "stale $(docker ps --quiet | wc -l)"
else echo ready; fi
"""
START = f"""start() {{
    if [ -d /run/systemd/system ]; then
        systemctl reset-failed docker 2>/dev/null || true
        systemctl enable docker && systemctl restart docker || return 1
    else
        # It cannot restart an engine that does not run.
        service docker stop || true
        service docker start || return 1
    fi
    for _ in $(seq 60); do
        if docker version >/dev/null 2>&1; then return; fi
        sleep 0.5
    done
    return 1
}}
if start >&2; then rm -f {CONFIG}.former; exit; fi
log=$(journalctl -u docker -o cat -n 20 2>/dev/null || tail -n 20 /var/log/docker.log || true)
reason=$(printf %s "$log" | grep -E 'level=(error|fatal)|failed|unable' | tail -n 1 | cut -c 1-300)
# Its former configuration, with which it ran.
if [ -e {CONFIG}.former ]; then mv {CONFIG}.former {CONFIG}; start >&2 || true; fi
echo "Docker does not start: ${{reason:-see its log there}}" >&2
exit 1
"""


def items(facts: Facts, user: str, source: str, swarm: bool = False) -> list[Item]:
    """Return the items of a server, which a user uses, with an engine from a source."""
    return [daemon.configuration(swarm), docker(facts, source), engine(), group(user)]


def docker(facts: Facts, source: str) -> Item:
    """Return the item of the engine's packages; an engine that is new enough stays as it is."""
    wanted = ".".join(map(str, DOCKER))

    def compare(state: str) -> list[Difference]:
        if state.startswith("none"):
            hint = f"set server.docker in invoke.yaml: Docker {wanted} is needed"
            offered = re.match(r"none (?:\d+:)?(\d+)\.(\d+)", state)
            old = offered and source == DISTRIBUTION and _version(offered) < DOCKER
            if not old:
                return [Difference("not installed")]
            return [Difference(f"the distribution has docker.io {state.split()[1]}", hint)]
        found = item.parsed(r"Docker version (\d+)\.(\d+)\S*, build .*", state)
        if _version(found) >= DOCKER:
            return []
        hint = "upgrade it there, one server after another: its containers stop"
        return [Difference(f"Docker {found[1]}.{found[2]} is too old, {wanted} needed", hint)]

    make = from_distribution(wanted) if source == DISTRIBUTION else from_repository(facts, source)
    return Item("Docker", VERSION, compare, lambda _: make)


def _version(found: re.Match[str]) -> tuple[int, int]:
    return int(found[1]), int(found[2])


def from_distribution(wanted: str) -> str:
    """Return the script that installs the distribution's Docker, if that is new enough."""
    return f"""{system.APT} update >/dev/null
version=$(apt-cache policy docker.io | sed -n 's/^ *Candidate: //p')
if ! dpkg --compare-versions "${{version:-0}}" ge {wanted}; then
    version="docker.io is ${{version:-unknown}} here, {wanted} needed"
    echo "$version: see server.docker in invoke.yaml" >&2
    exit 1
fi
client=$(apt-cache --names-only search '^docker-cli$' | cut -d' ' -f1)
{system.APT} install --no-install-recommends docker.io $client
"""


def from_repository(facts: Facts, source: str) -> str:
    """Return the script that adds Docker's own repository, and installs Docker from there."""
    key, name = "/etc/apt/keyrings/deploy-docker.asc", facts.id
    entry = f"""# {item.MARK}.
Types: deb
URIs: {source}/{name}
Suites: {facts.codename}
Components: stable
Signed-By: {key}
"""
    return f"""{system.install("ca-certificates", "curl")}mkdir -p /etc/apt/keyrings
curl --fail --silent --show-error --location --output {key}.new {source}/{name}/gpg
chmod 644 {key}.new
mv {key}.new {key}
{item.write("/etc/apt/sources.list.d/deploy-docker.sources", entry)}{system.install(*OWN)}"""


def engine() -> Item:
    """Return the item of an engine that runs, with the configuration that it has."""

    def compare(state: str) -> list[Difference]:
        found = item.parsed(r"(down|ready|stale) ?(\d*)", state)
        if found[1] != "stale":
            return [Difference("not running")] if found[1] == "down" else []
        what = f"Docker has not read {CONFIG} since it was changed"
        hint = f"that stops its containers ({found[2]}); there: sudo systemctl restart docker"
        return [Difference(what, hint if int(found[2]) else "")]

    return Item("engine", ENGINE, compare, lambda _: START)


def group(user: str) -> Item:
    """Return the item of the user's right to use Docker, which is that of root."""

    def compare(state: str) -> list[Difference]:
        there = re.fullmatch(r"[\w.@ $-]*", state) and "docker" in state.split()
        return [] if there else [Difference(f"{user} is not in the group docker")]

    look = f"id -nG {user} 2>/dev/null || true"
    return Item("group", look, compare, lambda _: f"usermod --append --groups docker {user}\n")
