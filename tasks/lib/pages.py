"""HTML pages in one file: no script, nothing from elsewhere."""

from __future__ import annotations

from html import escape

from .redaction import redact

STYLE = """
:root { color-scheme: light dark; font: 100%/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
article { border-left: .3rem solid #8886; padding-left: 1rem; margin: 1.5rem 0; }
article.bad { border-color: #d33; }
article.worth { border-color: #e80; }
article.good { border-color: #2a2; }
h3, p { margin: .25rem 0; }
h3, code { font-family: ui-monospace, monospace; font-size: .9rem; }
pre { overflow-x: auto; background: #8882; padding: .5rem; }
th { text-align: left; padding-right: 1rem; vertical-align: top; }
"""
# A browser loads nothing else, and runs nothing, even if a text were not escaped.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(title: str, body: str) -> str:
    """Return a page; its body is HTML already."""
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(title)}</title>
<style>{STYLE}</style>
<h1>{text(title)}</h1>
{body}</html>
"""


def text(value: object) -> str:
    """Return a text as HTML; secrets in it are masked."""
    return escape(redact(str(value)))


def block(value: str) -> str:
    """Return lines as they are; nothing for none."""
    return f'<pre tabindex="0">{text(value)}</pre>\n' if value else ""
