"""What must hold before a deploy, looked at all at once; nothing is changed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ..console import table
from ..docker import compose
from ..environments import dynamic
from ..errors import ExitCode, TaskError
from ..images import promotion
from ..orchestrators.swarm import rendering
from ..orchestrators.swarm.client import Swarm
from ..project.settings import ROOT

if TYPE_CHECKING:
    from ..environments.connection import Target
    from ..environments.history import Release
    from ..images.promotion import Candidate
    from ..orchestrators.swarm.stack import Stack
    from ..ssh.host import Host

# Of Docker: the first whose client leaves a stack to itself, `stack deploy --detach`
# (docker/cli#373); the health checks and capabilities that the stack uses are older.
DOCKER = (26, 0)
# Gigabytes that an image's roll may need on a server.
DISK = 2
# Seconds that a server may take to be ready again to a Swarm whose managers have just elected, or
# that did not hear of it for a moment: some of its heartbeats, which come every 5 s.
BACK = 20
FILES = ("compose/base.yml", "compose/server.yml")
# The secret that says the database is elsewhere, and the file that leaves ours out then.
ELSEWHERE, EXTERNAL = "DATABASE_URL", "compose/external.yml"
FREE = 'df -Pk "$1" 2>/dev/null | tail -n 1 || df -Pk / | tail -n 1'


def resolve_image(target: Target, ref: str) -> Candidate:
    """The image to deploy: of a ref, else what is released for the environment.

    Raises TaskError when there is none.
    """
    if ref:
        return promotion.resolve(target.registry, ref)
    found = None if dynamic.is_dynamic(target.name) else target.registry.find(target.name)
    if found is None:
        hint = f"inv release --env={target.name}, or add --ref=COMMIT"
        raise TaskError(f"nothing is released for {target.name}", hint, ExitCode.REFUSED)
    return promotion.candidate(target.registry, found)


def render(target: Target, image: Candidate) -> Stack:
    """The stack of an image for an environment, complete and pinned by digest."""
    name = str(target.registry.image.at(image.manifest.digest))
    url = target.environment.url.rstrip("/")
    values = {key: str(value) for key, value in target.environment.values.items()}
    # What base.yml takes from the shell must not come from this one.
    hidden: dict[str, str | None] = dict.fromkeys(target.settings.deploy.secrets)
    pace = at_a_time(target.environment.replicas, len(target.hosts))
    env = hidden | {"PARALLELISM": str(pace)} | values | {
        "IMAGE": name,
        "STACK": target.stack,
        "SITE_URL": url,
        "SITE_ADDRESS": address(url),
    }  # fmt: skip
    versions = {key: names[0] for key, names in target.swarm.secrets(target.stack).items()}
    known = {key: versions.get(key, "") for key in target.settings.deploy.secrets}
    files = [*FILES, *([EXTERNAL] if ELSEWHERE in target.settings.deploy.secrets else [])]
    project = compose.Project(target.ctx, [ROOT / file for file in files], target.stack, env)
    return rendering.render(project.config(), target.stack, name, known)


def at_a_time(replicas: int, servers: int) -> int:
    """How many replicas are replaced at a time.

    Swarm puts a new one where the fewest are, the old ones counted: of few replicas several at a
    time would come to the same server, and one that dies would take them all.
    """
    return max(replicas // 4, 1 if servers > 1 else 2)


def address(url: str) -> str:
    """What the proxy answers to: a host's name for HTTPS, or port 80 whatever the name."""
    return url.removeprefix("https://") if url.startswith("https://") else ":80"


def problems(target: Target, image: Candidate | None, force: str = "") -> list[str]:
    """Everything that would make a deploy fail, as far as looking can tell."""
    with ThreadPoolExecutor(len(target.hosts) + 1) as pool:
        looks = [pool.submit(_host, target, each) for each in target.hosts]
        looks.append(pool.submit(_secrets, target))
        found = [problem for look in looks for problem in look.result()]
    if image and not force and not promotion.admitted(target.registry, image):
        digest = target.registry.image.at(image.manifest.digest)
        found.append(f'{image} is not tested - inv test --image={digest}, or --force "reason"')
    return found


def load_stack(target: Target, goal: Release) -> Stack:
    """The stack of a release, when all that it needs is still there. Raises TaskError otherwise."""
    wanted = target.releases.stack(goal, target.stack)
    with ThreadPoolExecutor() as pool:
        gone = pool.submit(_gone, target, goal, wanted)
        found = problems(target, None)
    # A Swarm that is not there cannot tell what is gone from it.
    if not (found and gone.exception()):
        found += gone.result()
    if found:
        raise TaskError("\ninv: ".join(found), code=ExitCode.REFUSED)
    return wanted


def _gone(target: Target, goal: Release, wanted: Stack) -> list[str]:
    """What a release needs and is not there any more."""
    found = []
    if not target.registry.digest(goal.digest):
        found.append(f"the image of release {goal.number} is gone: {goal.image}")
    for kind in ("secret", "config"):
        known = set(target.swarm.query(kind, "ls", "--format", "{{.Name}}").split())
        names = {each["name"] for each in wanted.content.get(f"{kind}s", {}).values()}
        found += [f"{kind} {name} of release {goal.number} is gone" for name in names - known]
    return found


def check(target: Target, image: Candidate | None, force: str = "") -> None:
    """Raises TaskError, with every problem a line, when a deploy cannot go well."""
    found = problems(target, image, force)
    if found:
        raise TaskError("\ninv: ".join(found), code=ExitCode.REFUSED)


def _host(target: Target, host: Host) -> list[str]:
    with host.docker() as env:
        try:
            info = Swarm(target.ctx, env).info()
        except Exception as error:
            said = str(getattr(error, "stderr", "") or error).strip().splitlines()
            return [f"{host.name}: its Docker engine does not answer ({said[-1]}) - start it there"]
    found = outdated(host.name, info["ServerVersion"])
    if host is target.first:
        found += outdated("this machine", info["ClientInfo"].get("Version", "0.0"))
        found += _manager(target, host.name, info)
    free = int(host.run(FREE, info["DockerRootDir"], changes=False).split()[3]) / 10**6
    if free < DISK:
        found.append(f"{host.name}: {free:.1f} GB free, {DISK} wanted - docker system prune there")
    return found


def outdated(name: str, version: str) -> list[str]:
    """The problem with the Docker of a machine, if it is too old."""
    if tuple(int(part) for part in version.split(".")[:2]) >= DOCKER:
        return []
    wanted = ".".join(map(str, DOCKER))
    return [f"{name}: Docker {version} is too old - install {wanted} or later"]


def _manager(target: Target, name: str, info: Mapping[str, Any]) -> list[str]:
    setup = f"inv server.setup --env={target.name}"
    if not info.get("Swarm", {}).get("ControlAvailable"):
        state = info.get("Swarm", {}).get("LocalNodeState", "inactive")
        return [f"{name}: it manages no Swarm ({state}) - {setup}"]
    homes = _homes(target)
    deadline = time.monotonic() + BACK
    while homes and not any(map(_up, homes)) and time.monotonic() < deadline:
        time.sleep(0.5)
        homes = _homes(target)
    if not homes:
        return [f"no node is labelled {target.stack}=home - {setup}"]
    up = [each for each in homes if _up(each)]
    first = (up or homes)[0]
    where = f"{first['Hostname']}, where the proxy and the database live,"
    if not up:
        return [f"{where} is not ready ({first['Status'].lower()}) - start Docker there"]
    if not any(each["Availability"] == "Active" for each in up):
        hint = f"on a manager: docker node update --availability=active {first['ID']}"
        return [f"{where} takes no tasks ({first['Availability'].lower()}) - {hint}"]
    return []


def _homes(target: Target) -> list[dict[str, str]]:
    """The nodes that bear the label of the stack's data, as docker lists them."""
    words = ("--filter", f"node.label={target.stack}=home", "--format", "{{json .}}")
    return [json.loads(line) for line in target.swarm.query("node", "ls", *words).splitlines()]


def _up(node: Mapping[str, str]) -> bool:
    return node["Status"] == "Ready"


def _secrets(target: Target) -> list[str]:
    try:
        known = target.swarm.secrets(target.stack)
    except Exception:
        # Without a Swarm there are none, and that is told already.
        return []
    return [
        f"secret {name} is not there - inv secrets.set --env={target.name} --name={name}"
        for name in target.settings.deploy.secrets
        if name not in known
    ]


def report(target: Target, image: Candidate | None) -> str:
    """What was looked at, when nothing is wrong."""
    rows = [("servers", ", ".join(each.name for each in target.hosts))]
    rows += [("image", str(image) if image else "none is released yet")]
    rows += [("secrets", ", ".join(target.settings.deploy.secrets))]
    return table(rows)
