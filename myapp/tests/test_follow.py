"""Following a short link, and counting that."""

import threading
import time

from django.core.cache import cache
from django.db import OperationalError, connection
from django.test import TestCase, TransactionTestCase, override_settings, skipUnlessDBFeature

from myapp import clicks
from myapp.models import Link

from .clicks import CleanClicks
from .support import cache_that_is_down, closed_port, published

LONG = "https://docs.example.org/a/long/path"


class FollowingALink(CleanClicks, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.link = Link.objects.create(code="known", target=LONG)

    def clicks(self) -> int:
        clicks.flush()
        self.link.refresh_from_db()
        return self.link.clicks

    def test_leads_to_the_target_and_is_not_stored_by_browsers(self) -> None:
        answer = self.client.get("/known")
        self.assertEqual((302, LONG), (answer.status_code, answer["Location"]))
        self.assertIn("no-store", answer["Cache-Control"])

    def test_counts_a_click(self) -> None:
        self.client.get("/known")
        self.client.get("/KNOWN")
        self.assertEqual(2, self.clicks())

    def test_shows_the_click_at_once_where_jobs_run_in_the_process(self) -> None:
        self.client.get("/known")
        self.assertContains(self.client.get("/"), "<strong>1</strong> click")

    def test_does_not_count_a_look_at_the_headers(self) -> None:
        self.assertEqual(302, self.client.head("/known").status_code)
        self.assertEqual(0, self.clicks())

    def test_that_does_not_exist_is_not_found(self) -> None:
        for address in ("/unknown", "/admin-2", "/livez2", "/a" * 40, "/known/", "/%00"):
            self.assertEqual(404, self.client.get(address).status_code, address)

    def test_cannot_be_posted_to(self) -> None:
        self.assertEqual(405, self.client.post("/known").status_code)

    def test_to_another_scheme_is_refused_even_when_it_is_stored(self) -> None:
        Link.objects.filter(pk=self.link.pk).update(target="javascript:alert(1)")
        self.assertEqual(400, self.client.get("/known").status_code)

    def test_keeps_its_request_id_when_a_job_runs_in_the_same_process(self) -> None:
        given = "0123456789abcdef0123456789abcdef"
        answer = self.client.get("/known", headers={"x-request-id": given})
        self.assertEqual(given, answer["X-Request-ID"])

    def test_works_without_redis_and_logs_that_once(self) -> None:
        down = override_settings(CACHES=cache_that_is_down())
        with down, self.assertLogs("myapp.clicks") as log:
            for _ in range(3):
                self.assertEqual(302, self.client.get("/known").status_code)
        self.assertEqual(
            ["Clicks are not counted: ConnectionError"], [r.getMessage() for r in log.records]
        )

    def test_works_without_a_broker_and_does_not_wait_for_it(self) -> None:
        down = f"redis://127.0.0.1:{closed_port()}/0"
        start = time.monotonic()
        with published(down), self.assertLogs("myapp.clicks"):
            self.assertEqual(302, self.client.get("/known").status_code)
        self.assertLess(time.monotonic() - start, 3)
        self.assertEqual(1, self.clicks())


class Flushing(CleanClicks, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.link = Link.objects.create(code="known", target=LONG, clicks=10)
        cache.set(clicks.FLUSH_ASKED, True)

    def click(self, times: int = 1) -> None:
        for _ in range(times):
            clicks.count(Link.objects.get(pk=self.link.pk))

    def total(self) -> int:
        self.link.refresh_from_db()
        return self.link.clicks

    def test_adds_to_what_the_database_has(self) -> None:
        self.click(3)
        self.assertEqual(10, self.total())
        clicks.flush()
        self.assertEqual(13, self.total())

    def test_twice_counts_once(self) -> None:
        self.click(3)
        self.assertEqual((1, 0, 13), (clicks.flush(), clicks.flush(), self.total()))

    def test_with_totals_that_another_flush_overtook_changes_nothing(self) -> None:
        self.click()
        seen_before = Link.objects.get(pk=self.link.pk)
        self.click()
        clicks.flush()
        self.assertFalse(clicks.raise_total(seen_before, 11))
        self.assertEqual(12, self.total())

    def test_that_fails_in_the_database_is_made_up_for_by_the_next(self) -> None:
        self.click(3)
        with connection.execute_wrapper(refuse_updates), self.assertRaises(OperationalError):
            clicks.flush()
        self.assertEqual(10, self.total())
        self.click()
        clicks.flush()
        self.assertEqual(14, self.total())

    def test_lets_the_next_click_ask_for_a_flush_again(self) -> None:
        self.assertIsNotNone(cache.get(clicks.FLUSH_ASKED))
        clicks.flush()
        self.assertIsNone(cache.get(clicks.FLUSH_ASKED))

    def test_goes_through_all_links_in_batches(self) -> None:
        links = [Link(code=f"link-{n}", target=LONG) for n in range(5)]
        for link in Link.objects.bulk_create(links):
            clicks.count(link)
        clicks.BATCH, before = 2, clicks.BATCH
        self.addCleanup(setattr, clicks, "BATCH", before)
        self.assertEqual(5, clicks.flush())

    def test_a_counter_that_was_evicted_goes_on_from_the_database(self) -> None:
        self.click(3)
        clicks.flush()
        cache.delete(clicks.counter(self.link))
        self.click(2)
        clicks.flush()
        self.assertEqual(15, self.total())

    def test_a_counter_that_fell_behind_the_database_is_repaired_by_one_click(self) -> None:
        cache.set(clicks.counter(self.link), 4, timeout=None)
        self.click(3)
        clicks.flush()
        self.assertEqual(13, self.total())

    def test_only_one_of_several_clicks_repairs_a_counter(self) -> None:
        cache.set(clicks.counter(self.link), 4, timeout=None)
        cache.set(f"{clicks.counter(self.link)}:repair", True)
        self.click()
        self.assertEqual(5, cache.get(clicks.counter(self.link)))

    def test_a_link_that_takes_the_place_of_a_deleted_one_starts_at_zero(self) -> None:
        self.click(3)
        pk, _ = self.link.pk, self.link.delete()
        Link.objects.create(pk=pk, code="other", target=LONG)
        clicks.flush()
        self.assertEqual(0, Link.objects.get(pk=pk).clicks)


def refuse_updates(execute, sql, params, many, context):
    """Fails every UPDATE, as a database that went away would."""
    if sql.startswith("UPDATE"):
        raise OperationalError("gone")
    return execute(sql, params, many, context)


class ManyAtOnce(CleanClicks, TransactionTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.link = Link.objects.create(code="known", target=LONG)
        self.enterContext(published("memory://"))

    def test_clicks_are_all_counted_while_flushes_run(self) -> None:
        threads = [threading.Thread(target=self.click, args=(50,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            clicks.flush()
        clicks.flush()
        self.link.refresh_from_db()
        self.assertEqual(200, self.link.clicks)

    @skipUnlessDBFeature("test_db_allows_multiple_connections")
    def test_flushes_count_nothing_twice(self) -> None:
        self.click(20)
        threads = [threading.Thread(target=self.flush_and_close) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.link.refresh_from_db()
        self.assertEqual(20, self.link.clicks)

    def click(self, times: int) -> None:
        for _ in range(times):
            clicks.count(self.link)

    def flush_and_close(self) -> None:
        clicks.flush()
        connection.close()
