"""The running app as a person sees it, in headless Chromium, on a phone and on a desktop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parents[2]
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}


@pytest.fixture
def site(clone: Path, inv, port: int) -> Iterator[str]:
    """The app from a clone, on whichever engine answers; its URL."""
    done = inv("dev", "--detach", "--port", str(port), root=clone)
    assert done.returncode == 0, done.stderr
    yield f"http://127.0.0.1:{port}/"
    inv("down", "--volumes", "--yes", root=clone)


def clicks(page) -> str:
    """What the page says of the first link's clicks."""
    page.reload()
    return " ".join(page.locator(".links .clicks").first.inner_text().split())


def test_without_javascript_a_link_is_made_followed_and_counted(site, chromium):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site)
    page.get_by_label("Long address").fill("javascript:alert(1)")
    page.get_by_role("button", name="Shorten").click()
    assert "http" in page.locator(".errorlist, .error").first.inner_text()

    page.get_by_label("Long address").fill("https://example.com/spring?x=1")
    page.get_by_label("Custom ending").fill("spring-sale")
    page.get_by_role("button", name="Shorten").click()
    assert "Your short link is ready" in page.inner_text("main")

    answer = context.request.get(f"{site}spring-sale", max_redirects=0)
    assert answer.status == 302
    assert answer.headers["location"] == "https://example.com/spring?x=1"
    deadline = time.monotonic() + 20
    while clicks(page) != "1 click":
        assert time.monotonic() < deadline, clicks(page)

    look(site, chromium)


def look(site: str, chromium) -> None:
    """Phone and desktop, light and dark: a picture in reports/shots, and no finding of axe."""
    from axe_playwright_python.sync_playwright import Axe

    shots = ROOT / "reports/shots"
    shots.mkdir(parents=True, exist_ok=True)
    for name, (width, height) in SIZES.items():
        for scheme in ("light", "dark"):
            context = chromium.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            page = context.new_page()
            page.goto(site)
            page.screenshot(path=shots / f"{name}-{scheme}.png")
            results = Axe().run(page)
            assert results.violations_count == 0, results.generate_report()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            context.close()
