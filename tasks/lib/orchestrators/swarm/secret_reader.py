"""Values of secrets, read in a job that has them through exec: in no log, and on no disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...errors import TaskError
from ...process import wait_until
from ...project import contract
from ...ssh.host import Host
from .. import replicas
from ..secret_reader import SHOW, values
from . import jobs
from .client import STACK, Swarm
from .rendering import JOBS

# Seconds until the job has started, its image pulled; and until it ends by itself.
START, LIFE = 120, 300


def read(
    swarm: Swarm, hosts: Sequence[Host], stack: str, image: str, versions: Mapping[str, str]
) -> dict[str, str]:
    """Return the values of secrets; see base.Orchestrator.read_secrets.

    Args:
        versions: the names of the versions to read, by those of the secrets.
    """
    if not versions or swarm.ctx.config.run.dry:
        return {}
    jobs.clear(swarm, stack)
    name = f"{stack}{JOBS}_secrets"
    uses = [
        f"--secret=source={version},target={key},uid=0,gid=0,mode=0400"
        for key, version in versions.items()
    ]
    options = ["--restart-condition=none", "--no-healthcheck", "--user=0:0", "--read-only"]
    options += ["--cap-drop=ALL", "--stop-grace-period=0s", f"--label={STACK}={stack}{JOBS}"]
    options += [f"--constraint=node.labels.{stack} == {contract.HOME}"]
    options += ["--no-resolve-image", "--with-registry-auth"]
    command = ["--entrypoint=sleep", image, str(LIFE)]
    swarm.run("service", "create", "--detach", "--quiet", "--name", name, *options, *uses, *command)
    label = f"com.docker.swarm.service.name={name}"
    try:
        shown = wait_until(lambda: replicas.inside(swarm.ctx, hosts, label, SHOW) or "", START)
    except TimeoutError:
        what = f"the job that reads the secrets did not start within {START} s"
        raise TaskError(what, f"is {image} still in the registry?") from None
    finally:
        jobs.clear(swarm, stack)
    return values(shown)
