"""The findings as an HTML page, in one file."""

from collections.abc import Sequence
from html import escape
from itertools import groupby

from .codequality import Finding, count

STYLE = """
:root { color-scheme: light dark; font: 100%/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
article { border-left: .3rem solid #8886; padding-left: 1rem; margin: 1.5rem 0; }
article.blocker, article.critical { border-color: #d33; }
article.major { border-color: #e80; }
h3, p { margin: .25rem 0; overflow-wrap: anywhere; }
h3, code { font-family: ui-monospace, monospace; font-size: .9rem; }
pre { overflow-x: auto; background: #8882; padding: .5rem; }
"""


def page(findings: Sequence[Finding]) -> str:
    """Return a page of all findings, which come worst first, each with its location and code."""
    groups = groupby(findings, key=lambda finding: finding.severity)
    parts = [f"<h2>{name}</h2>\n{''.join(map(_article, group))}" for name, group in groups]
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Code quality</title>
<style>{STYLE}</style>
<h1>Code quality</h1>
<p>Findings: {count(findings)}.</p>
{"".join(parts)}</html>
"""


def _article(finding: Finding) -> str:
    code = f'<pre tabindex="0">{escape(finding.code)}</pre>\n' if finding.code else ""
    return f"""<article class="{finding.severity}">
<h3>{escape(finding.location)}</h3>
<p>{escape(finding.text)} ({finding.kind}, <code>{escape(finding.check)}</code>)</p>
{code}</article>
"""
