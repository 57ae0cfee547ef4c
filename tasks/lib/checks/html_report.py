"""The findings as an HTML page, in one file."""

from collections.abc import Sequence
from itertools import groupby

from .. import pages
from .codequality import Finding, count

# How a page marks an article of a severity.
MARKS = {"blocker": "bad", "critical": "bad", "major": "worth"}


def page(findings: Sequence[Finding]) -> str:
    """Return a page of all findings, which come worst first, each with its location and code."""
    groups = groupby(findings, key=lambda finding: finding.severity)
    parts = [f"<h2>{name}</h2>\n{''.join(map(_article, group))}" for name, group in groups]
    return pages.page("Code quality", f"<p>Findings: {count(findings)}.</p>\n{''.join(parts)}")


def _article(finding: Finding) -> str:
    return f"""<article class="{MARKS.get(finding.severity, "")}">
<h3>{pages.text(finding.location)}</h3>
<p>{pages.text(finding.text)} ({finding.kind}, <code>{pages.text(finding.check)}</code>)</p>
{pages.block(finding.code)}</article>
"""
