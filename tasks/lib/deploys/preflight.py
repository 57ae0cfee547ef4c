"""What must hold before a deploy, checked all at once; nothing is changed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ..console import table
from ..environments import bootstrap
from ..environments.connection import Target
from ..environments.dynamic import is_dynamic
from ..environments.records import Record
from ..errors import ExitCode, TaskError, refusing
from ..images import promotion, refs
from ..images.promotion import Candidate
from ..orchestrators.stack import Stack
from . import rendering


def prepare(target: Target, ref: str, force: str, changes: bool) -> tuple[Candidate, Stack]:
    """Return the image to deploy and its stack, when nothing would make the deploy fail.

    Args:
        ref: the image to deploy; empty for the released one.
        changes: set up the servers of a dynamic environment.
    Raises TaskError, one line a problem, with exit status 2.
    """
    with refusing():
        image = resolve_image(target, ref)
        if changes and is_dynamic(target.name):
            bootstrap.make_ready(target)
        check(target, image, force)
        return image, rendering.render(target, image)


def dry_run(target: Target, ref: str) -> str:
    """Run all checks of a deploy without deploying; return a report. Raises as prepare does."""
    with refusing():
        released = ref or target.registry.digest(target.name)
        image = resolve_image(target, ref) if released else None
        check(target, image)
        if image:
            rendering.render(target, image)
    servers, secrets = [host.name for host in target.hosts], target.settings.deploy.secrets
    found = str(image or "none is released yet")
    return table(
        [("servers", ", ".join(servers)), ("image", found), ("secrets", ", ".join(secrets))]
    )


def resolve_image(target: Target, ref: str) -> Candidate:
    """Return the image of a ref, or what is released. Raises TaskError when there is none."""
    if ref:
        return refs.resolve(target.registry, ref, target.settings.environments)
    found = None if is_dynamic(target.name) else target.registry.find(target.name)
    if found is None:
        hint = f"inv release --env={target.name}, or add --ref=COMMIT"
        raise TaskError(f"nothing is released for {target.name}", hint, ExitCode.REFUSED)
    return promotion.candidate(target.registry, found)


def check(target: Target, image: Candidate | None, force: str = "") -> None:
    """Raise TaskError, one line a problem, when a deploy cannot succeed."""
    _refuse(_problems(target, image, force))


def load_stack(target: Target, goal: Record) -> Stack:
    """Return the stack of a record, when all that it needs still exists. Raises as prepare does."""
    with refusing():
        wanted = target.history.stack(goal, target.stack)
        with ThreadPoolExecutor() as pool:
            gone = pool.submit(_gone, target, goal, wanted)
            problems = _problems(target, None)
        # Servers without a cluster do not know what is gone from it.
        if not (problems and gone.exception()):
            problems += gone.result()
        _refuse(problems)
        return wanted


def _refuse(problems: list[str]) -> None:
    if problems:
        raise TaskError("\ninv: ".join(problems), code=ExitCode.REFUSED)


def _problems(target: Target, image: Candidate | None, force: str = "") -> list[str]:
    with ThreadPoolExecutor() as pool:
        checks = [pool.submit(target.orchestrator.problems), pool.submit(_secrets, target)]
        found = [problem for each in checks for problem in each.result()]
    if image and not force and not promotion.admitted(target.registry, image):
        digest = target.registry.image.at(image.manifest.digest)
        found.append(f'{image} is not tested - inv test --image={digest}, or --force "reason"')
    return found


def _secrets(target: Target) -> list[str]:
    try:
        known = target.orchestrator.secrets()
    except Exception:
        # Servers without a cluster have none, and that is a problem of its own.
        return []
    return [
        f"secret {name} is missing - inv secrets.set --env={target.name} --name={name}"
        for name in target.settings.deploy.secrets
        if name not in known
    ]


def _gone(target: Target, goal: Record, wanted: Stack) -> list[str]:
    """Return what a record needs and is gone."""
    missing = target.orchestrator.missing(wanted)
    found = [f"{name} of release {goal.number} is gone" for name in missing]
    if not target.registry.digest(goal.digest):
        found.insert(0, f"the image of release {goal.number} is gone: {goal.image}")
    return found
