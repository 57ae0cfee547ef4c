"""What is asked of each server's own engine: its images."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from invoke import Context

from .. import files
from ..docker import api, cli
from ..docker.retry import again
from ..errors import explain
from ..ssh.host import Host
from .engine import Engine
from .status import Stored, Volume

# Seconds that a server may take to delete its old images; the next deploy goes on from there.
BOUND = 30
# Seconds that a trial may take, with the pull of its image.
TRIAL = 120
# Why an engine cannot pull, by what it says, and what to do there.
PULLS = {
    "HTTP response to HTTPS": "add {registry} to insecure-registries in its daemon.json",
    "x509": "put the registry's CA into /etc/docker/certs.d/{registry}/ca.crt there",
    "": "it must reach the registry {registry}, with the login that this machine has",
}
LISTING = "{{.ID}}\t{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.Size}}"
NONE = "<none>"
EPOCH = "1970-01-01T00:00:00Z"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


class Image(NamedTuple):
    """An image by one of its names, as an engine lists it."""

    id: str
    repository: str
    tag: str
    digest: str
    size: str

    @property
    def bytes(self) -> int:
        """Its size, which docker prints with a unit."""
        number, unit = re.fullmatch(r"([\d.]+)\s*(\w+)", self.size).groups()  # type: ignore[union-attr]
        return int(float(number) * UNITS[unit])


def familiar(repository: str) -> str:
    """Return a repository's name as docker shows it."""
    return repository.removeprefix("docker.io/").removeprefix("library/")


def stored_images(ctx: Context, hosts: Sequence[Host], repository: str) -> list[Stored]:
    """Return the images of a repository on each server, at the same time."""

    def stored(host: Host) -> Stored:
        shown = Engine(ctx, host.docker()).query(*_listing())
        sizes = {each.id: each.bytes for each in _images(shown, repository)}
        return Stored(host.name, len(sizes), sum(sizes.values()))

    with ThreadPoolExecutor(len(hosts)) as pool:
        return list(pool.map(stored, hosts))


def volumes(ctx: Context, hosts: Sequence[Host], stack: str) -> list[Volume]:
    """Return the volumes of a stack on each server, at the same time."""
    prefix = f"{stack}_"

    def listed(host: Host) -> list[Volume]:
        found = Engine(ctx, host.docker()).objects("volume", f"name={prefix}")
        return [
            Volume(
                each["Name"].removeprefix(prefix),
                # The driver of a volume may not say when it was made.
                datetime.fromisoformat(each.get("CreatedAt") or EPOCH).timestamp(),
                f"docker volume rm {each['Name']} on {host.name}",
            )
            for each in found
            if each["Name"].startswith(prefix)
        ]

    with ThreadPoolExecutor(len(hosts)) as pool:
        return [each for found in pool.map(listed, hosts) for each in found]


def tidy_images(
    ctx: Context, hosts: Sequence[Host], repository: str, keep: Collection[str]
) -> list[str]:
    """Delete a repository's images that nothing needs; see base.Orchestrator.tidy_images."""
    with ThreadPoolExecutor(len(hosts)) as pool:
        work = partial(_tidy, ctx, repository, {*keep})
        return [problem for problem in pool.map(work, hosts) if problem]


def _tidy(ctx: Context, repository: str, keep: set[str], host: Host) -> str:
    """Delete the images of one server; return why that fails."""
    end = time.monotonic() + BOUND
    try:

        def run(*words: str) -> str:
            left = max(end - time.monotonic(), 1)
            return cli.run(ctx, *words, env=host.docker(), timeout=left)

        used = DIGEST.findall(run("ps", "--all", "--no-trunc", "--format", "{{.Image}}"))
        if old := unneeded(run(*_listing()), repository, {*keep, *used}):
            run("image", "rm", *old)
    except Exception as error:
        return f"{host.name}: {explain(error)}"
    return ""


def unneeded(shown: str, repository: str, keep: Collection[str]) -> list[str]:
    """Return the names of the images to delete, from an engine's list of all its images."""
    every = _images(shown)
    tagged = {each.id for each in every if each.tag != NONE}
    return [
        f"{each.repository}@{each.digest}"
        for each in every
        if each.repository == familiar(repository)
        and each.digest != NONE
        and each.id not in tagged
        and not {each.id, each.digest} & {*keep}
    ]


def _listing() -> tuple[str, ...]:
    return ("image", "ls", "--no-trunc", "--digests", "--format", LISTING)


def _images(shown: str, repository: str = "") -> list[Image]:
    every = [Image(*line.split("\t")) for line in shown.splitlines()]
    return [each for each in every if not repository or each.repository == familiar(repository)]


def unpullable(ctx: Context, hosts: Sequence[Host], image: str, auth: str) -> list[str]:
    """Return a line for each server that has not an image, and cannot pull it."""
    with ThreadPoolExecutor(len(hosts)) as pool:
        found = pool.map(lambda host: _unpullable(ctx, host, image, auth), hosts)
        return [line for line in found if line]


def _unpullable(ctx: Context, host: Host, image: str, auth: str) -> str:
    engine = Engine(ctx, host.docker())
    with suppress(cli.DockerError):
        engine.get(f"/images/{image}/json")
        return ""
    try:
        api.call(ctx, engine.env, f"/distribution/{image}/json", auth=auth)
    except cli.DockerError as error:
        registry = image.partition("/")[0]
        why = next(why for sign, why in PULLS.items() if sign in error.reason)
        hint = why.format(registry=registry)
        return f"{host.name}: cannot pull {image} ({error.reason}) - {hint}"
    return ""


def try_out(engine: Engine, service: Mapping[str, Any], command: Sequence[str]) -> None:
    """Run a command in a service's image on the first server; see base.Orchestrator.try_out."""
    options = [
        f"--{option}={each}"
        for option, key in (("cap-drop", "cap_drop"), ("cap-add", "cap_add"))
        for each in service.get(key, [])
    ]
    # Values may be secret: no argument has them. A stack's file has $$ for $.
    given = service.get("environment", {}).items()
    values = {key: value.replace("$$", "$") for key, value in given if "\n" not in value}
    text = "".join(f"{key}={value}\n" for key, value in values.items())
    with files.folder() as folder:
        file = folder / "env"
        file.write_text(text, "utf-8")
        words = ["run", "--rm", "--network=none", "--user=0:0", f"--env-file={file}", *options]
        words += [service["image"], *command]
        trial = partial(cli.run, engine.ctx, *words, env=engine.env, reads=True, merged=True)
        try:
            again(partial(trial, timeout=TRIAL))
        except cli.DockerError as error:
            # The engine's own reason is not the last line.
            lines = [line for line in error.stderr.splitlines() if line.startswith("docker: ")]
            text = lines[0].removeprefix("docker: ") if lines else error.stderr
            raise cli.DockerError(["docker", "run"], error.status, text) from None
