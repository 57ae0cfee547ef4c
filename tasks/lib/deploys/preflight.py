"""What must hold before a deploy, checked all at once; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from .. import console
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
from . import database, problems, proxy_check, rendering


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
        if not changes and (unmade := target.orchestrator.unmade()):
            return image, _unchecked(target, image, force, unmade)
        if changes and is_dynamic(target.name):
            bootstrap.make_ready(target)
        return image, _checked(target, image, force, upgrade)


def _unchecked(target: Target, image: Candidate, force: str, unmade: list[str]) -> Stack:
    """Return the stack of an image for a plan, where nothing can be checked yet."""
    what = f"there is no {' and no '.join(unmade)} yet: nothing was checked there"
    console.warn(f"{what} - inv server.setup --env={target.name}")
    for line in problems.secrets(target):
        console.warn(line)
    _refuse(problems.untested(target, image, force))
    return rendering.render(target, image)


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
    _refuse(found + problems.conflicts(stack, ports) + proxy_check.problems(target, stack, old))


def check(target: Target, image: Candidate | None, force: str = "") -> None:
    """Raise TaskError, one line a problem, when a deploy cannot succeed."""
    _refuse(_problems(target, image, force))


def load_stack(target: Target, goal: Record) -> Stack:
    """Return the stack of a record, when all that it needs still exists. Raises as prepare does."""
    with refusing():
        wanted = target.history.stack(goal, target.stack)
        with ThreadPoolExecutor() as pool:
            gone = pool.submit(problems.gone, target, goal, wanted)
            taken = pool.submit(lambda: problems.conflicts(wanted, target.orchestrator.ports()))
            found = _problems(target, None)
        for each in (gone, taken):
            # Servers without a cluster do not know what is gone from it.
            if not (found and each.exception()):
                found += each.result()
        _refuse(found)
        return wanted


def _refuse(found: list[str]) -> None:
    if found:
        raise TaskError("\ninv: ".join(found), code=ExitCode.REFUSED)


def _problems(target: Target, image: Candidate | None, force: str = "") -> list[str]:
    with ThreadPoolExecutor() as pool:
        checks = [pool.submit(target.orchestrator.problems), pool.submit(target.history.problems)]
        checks += [pool.submit(each, target) for each in (site_address.problems, problems.secrets)]
        found = [problem for each in checks for problem in each.result()]
    return found + problems.untested(target, image, force)
