"""What tests of the clicks need."""

from myapp import clicks

from .support import CleanCache


class CleanClicks(CleanCache):
    """Begins each test with an empty cache that has not failed yet."""

    def setUp(self) -> None:
        super().setUp()
        clicks.outage.until = 0.0
