"""The monitoring page as on-call sees it, in headless Chromium: well, not well, and well again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.testbed import prometheus
from tests.testbed.commands import until
from tests.testbed.measured import Served, served

pytestmark = pytest.mark.browser


@pytest.fixture
def site(tmp_path) -> Iterator[Served]:
    """A project with metrics."""
    with served(tmp_path) as one:
        yield one


def test_it_says_what_is_wrong_and_since_when(site, tmp_path, chromium):
    prometheus.required()
    with prometheus.measuring(tmp_path, app=site.metrics_port) as measured:
        page = chromium.new_page()

        def state() -> str:
            page.goto(f"{measured.url}/consoles/index.html")
            return page.locator("#state").inner_text()

        until(lambda: site.get("/") and state() == "All is well", 30, 0.5)
        panel = page.locator("section", has_text="Release that runs: replicas")
        until(lambda: state() and "abc" in panel.inner_text(), 30, 0.5)
        assert page.locator("h1").all_inner_texts() == ["All is well"]

        os.killpg(site.process.pid, signal.SIGSTOP)
        until(lambda: state() == "Not well", 60, 0.5)
        assert "ReplicaDown app" in page.locator("li").first.inner_text()
        assert "UTC" in page.locator("li").first.inner_text()
        look(page)
        # Debian's Prometheus lacks the pages that the links lead to.
        link = page.get_by_role("link", name="What to do first")
        assert link.evaluate("each => each.href") == f"{measured.url}/alerts"
        os.killpg(site.process.pid, signal.SIGCONT)
        until(lambda: state() == "All is well", 60, 0.5)
        graph = panel.get_by_role("link").evaluate("each => each.href")
        assert graph.startswith(f"{measured.url}/graph?g0.expr=")


def look(page) -> None:
    """It has no finding of axe, and fits a phone."""
    from axe_playwright_python.sync_playwright import Axe

    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        # It renews itself: its values are of now, and nothing is typed in.
        results = Axe().run(page, options={"rules": {"meta-refresh": {"enabled": False}}})
        assert results.violations_count == 0, results.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
