"""What came of a deploy or rollback, as a report."""

from __future__ import annotations

from ..environments.releases import Release, release
from ..reports import Report
from .deployment import Deployment
from .plan import Plan, compare


class Outcome(Report, frozen=True, kw_only=True, tag="deploy"):
    """A deploy or rollback that ended.

    Args:
        changed: False if there was nothing to do.
        release: what was made, or what runs already; null if the deploy did not begin.
    """

    environment: str
    url: str
    image: str
    changed: bool
    plan: Plan
    release: Release | None

    def text(self) -> str:
        """Return the image that runs."""
        return self.image


def read(deployment: Deployment, problems: list[str] | None = None) -> Outcome:
    """Return what came of a deployment; `problems` are why it failed."""
    target, now, record = deployment.target, deployment.now, deployment.record
    made = now.record if deployment.unchanged else record if record.began else None
    return Outcome(
        environment=target.name,
        problems=problems or [],
        url=target.url,
        image=deployment.stack.image,
        changed=not deployment.unchanged,
        plan=compare(target, now, deployment.stack, record.revision),
        release=release(made, locked=False) if made else None,
    )
