"""What must hold before a deploy, checked all at once; nothing is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from ..console import as_typed, table
from ..environments import bootstrap, site_address
from ..environments.connection import Target
from ..environments.records import Record
from ..errors import ExitCode, TaskError, refusing
from ..images import promotion, refs
from ..images.promotion import Candidate
from ..orchestrators.stack import Stack
from ..orchestrators.status import Ports
from ..project.names import is_dynamic
from ..registry.reference import short
from ..reports import Report
from . import database, proxy_check, rendering


def prepare(
    target: Target, ref: str, force: str, changes: bool, upgrade: bool = False
) -> tuple[Candidate, Stack]:
    """Return the image to deploy and its stack, when nothing would make the deploy fail.

    Args:
        ref: the image to deploy; empty for the released one.
        changes: set up the servers of a dynamic environment.
        upgrade: the database may get another major version.
    Raises TaskError, one line a problem, with exit status 2.
    """
    with refusing():
        with _all_problems(target):
            image = resolve_image(target, ref)
        if changes and is_dynamic(target.name):
            bootstrap.make_ready(target)
        return image, _checked(target, image, force, upgrade)


class Preflight(Report, frozen=True, kw_only=True, tag="preflight"):
    """What was checked; a deploy of it would be refused for nothing that can be known before.

    Args:
        image: by its digest; empty if none is released yet, like its revision.
    """

    environment: str
    servers: list[str]
    image: str
    revision: str
    secrets: list[str]

    def text(self) -> str:
        """Return a table."""
        none = f"none is released yet - inv release --env={self.environment}"
        digest = short(self.image.rpartition("@")[2])
        image = f"{digest} ({self.revision[:12] or 'unknown commit'})" if self.image else none
        rows = [("servers", self.servers), ("image", [image]), ("secrets", self.secrets)]
        return as_typed(table([(name, ", ".join(found)) for name, found in rows]))


def dry_run(target: Target, ref: str) -> Preflight:
    """Run all checks of a deploy without deploying. Raises as prepare does."""
    with refusing():
        with _all_problems(target):
            released = ref or target.registry.digest(target.name)
            image = resolve_image(target, ref) if released else None
        if image:
            _checked(target, image)
        else:
            check(target, image)
    return Preflight(
        environment=target.name,
        servers=[host.name for host in target.hosts] or [target.store.name],
        image=str(target.registry.image.at(image.digest)) if image else "",
        revision=image.revision if image else "",
        secrets=list(target.settings.deploy.secrets),
    )


@contextmanager
def _all_problems(target: Target) -> Iterator[None]:
    """Add the problems of the servers to that of the image, if there is one."""
    try:
        yield
    except TaskError as error:
        # The servers of a dynamic environment are set up only now.
        others = [] if is_dynamic(target.name) else _problems(target, None)
        _refuse([str(error), *others])


def resolve_image(target: Target, ref: str) -> Candidate:
    """Return the image of a ref, or what is released. Raises TaskError when there is none."""
    if ref:
        return refs.resolve(target.registry, ref, target.settings.environments)
    found = None if is_dynamic(target.name) else target.registry.find(target.name)
    if found is None:
        hint = f"inv release --env={target.name}, or add --ref=COMMIT"
        raise TaskError(f"nothing is released for {target.name}", hint, ExitCode.REFUSED)
    return promotion.candidate(target.registry, found)


def _checked(target: Target, image: Candidate, force: str = "", upgrade: bool = False) -> Stack:
    """Return an image's stack, when a deploy of it can succeed. Raises as prepare does."""
    with ThreadPoolExecutor() as pool:
        ports = pool.submit(target.orchestrator.ports)
        old = pool.submit(proxy_check.before, target)
        outdated = pool.submit(database.outdated, target)
        check(target, image, force)
        _refuse([] if upgrade else outdated.result())
        stack = rendering.render(target, image, old.result())
        check_stack(target, stack, ports.result(), old.result())
        return stack


def check_stack(target: Target, stack: Stack, ports: Ports, old: Stack | None) -> None:
    """Raise TaskError, one line a problem, when a stack cannot run; `old` is what runs."""
    login = target.registry.login
    found = target.orchestrator.misfits(stack, login.header if login else "")
    _refuse(found + _conflicts(stack, ports) + proxy_check.problems(target, stack, old))


def _conflicts(stack: Stack, ports: Ports) -> list[str]:
    """Return a line for each port that others have, or that the stack publishes twice."""
    wanted = Counter(
        f"{port['published']}/{port.get('protocol', 'tcp')}"
        for service in stack.services.values()
        for port in service.get("ports", [])
    )
    hint = "choose another in `values` of the environment"
    found = [f"port {port} is published twice - {hint}" for port, n in wanted.items() if n > 1]
    return found + [
        f"port {port} of {ports.node} is taken by {name} - {hint}, or stop that"
        for port in wanted
        for name, taken in ports.taken.items()
        if name != stack.name and port in taken
    ]


def check(target: Target, image: Candidate | None, force: str = "") -> None:
    """Raise TaskError, one line a problem, when a deploy cannot succeed."""
    _refuse(_problems(target, image, force))


def load_stack(target: Target, goal: Record) -> Stack:
    """Return the stack of a record, when all that it needs still exists. Raises as prepare does."""
    with refusing():
        wanted = target.history.stack(goal, target.stack)
        with ThreadPoolExecutor() as pool:
            gone = pool.submit(_gone, target, goal, wanted)
            taken = pool.submit(lambda: _conflicts(wanted, target.orchestrator.ports()))
            problems = _problems(target, None)
        for each in (gone, taken):
            # Servers without a cluster do not know what is gone from it.
            if not (problems and each.exception()):
                problems += each.result()
        _refuse(problems)
        return wanted


def _refuse(problems: list[str]) -> None:
    if problems:
        raise TaskError("\ninv: ".join(problems), code=ExitCode.REFUSED)


def _problems(target: Target, image: Candidate | None, force: str = "") -> list[str]:
    with ThreadPoolExecutor() as pool:
        checks = [pool.submit(target.orchestrator.problems), pool.submit(target.history.problems)]
        checks += [pool.submit(each, target) for each in (site_address.problems, _secrets)]
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
    missing = [name for name in target.settings.deploy.secrets if name not in known]
    hint = f"inv secrets.set --env={target.name}"
    every = " (or --random, for all that are missing)" if len(missing) > 1 else ""
    return [f"secret {name} is missing - {hint} --name={name}{every}" for name in missing]


def _gone(target: Target, goal: Record, wanted: Stack) -> list[str]:
    """Return what a record needs and is gone."""
    missing = target.orchestrator.missing(wanted)
    found = [f"{name} of release {goal.number} is gone" for name in missing]
    if not target.registry.digest(goal.digest):
        found.insert(0, f"the image of release {goal.number} is gone: {goal.image}")
    return found
