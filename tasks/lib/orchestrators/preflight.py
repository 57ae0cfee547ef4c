"""What must hold on every server with Docker before a deploy; nothing is changed."""

from __future__ import annotations

from invoke import Context

from ..docker import client
from ..ssh.host import Host
from .engine import RUN, Engine

# The first Docker whose client leaves a stack to Swarm: `stack deploy --detach` (docker/cli#373).
# The health checks and capabilities that the stack uses are older.
DOCKER = (26, 0)
# Gigabytes that an image's rollout may need on a server.
DISK = 2
MOVED = (
    "{name}: {stack} runs there with `orchestrator: {old}` - set that again, inv secrets.export,"
    " inv destroy (its data stays), set `orchestrator: {new}`, inv server.setup,"
    " inv secrets.import, inv deploy"
)
# What to do with a network that was made otherwise: docker never changes one.
AGAIN = "inv destroy, then inv deploy, make it again; data and secrets stay"
FREE = 'df -Pk "$1" 2>/dev/null || df -Pk /'


def engine_problem(host: Host, reason: str) -> str:
    """Return why a server's engine cannot be used, and what to do."""
    if "permission denied" in reason.lower():
        user = host.run("id -un", changes=False).strip()
        hint = f"add {user} to the group docker there: sudo usermod -aG docker {user}"
        return f"{host.name}: {user} may not use Docker - {hint}, then log in again"
    if "not found" in reason:
        hint = "install Docker there, or link it: sudo ln -s /PATH/TO/docker /usr/local/bin/docker"
        return f"{host.name}: no docker on the PATH of a command over SSH ({reason}) - {hint}"
    return f"{host.name}: its Docker engine does not answer ({reason}) - start it there"


def outdated(name: str, version: str) -> list[str]:
    """Return the problem with the Docker of a machine, if it is too old."""
    if tuple(int(part) for part in version.split(".")[:2]) >= DOCKER:
        return []
    wanted = ".".join(map(str, DOCKER))
    return [f"{name}: Docker {version} is too old - install {wanted} or later"]


def moved(engine: Engine, name: str, stack: str, label: str, old: str, new: str) -> list[str]:
    """Return the problem of a stack that another orchestrator runs, which sets a label."""
    if engine.ids("container", f"label={label}={stack}", *RUN):
        return [MOVED.format(name=name, stack=stack, old=old, new=new)]
    return []


def machine(ctx: Context) -> list[str]:
    """Return the problem with the Docker of this machine, if it is too old."""
    return outdated("this machine", client.command_version(ctx))


def full(host: Host, folder: str) -> list[str]:
    """Return the problem with the disk of an engine's data, if too little of it is free."""
    shown = host.run(FREE, folder, changes=False)
    free = int(shown.splitlines()[-1].split()[3]) / 10**6
    if free >= DISK:
        return []
    return [f"{host.name}: {free:.1f} GB free, {DISK} needed - docker system prune there"]
