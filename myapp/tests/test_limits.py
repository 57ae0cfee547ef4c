"""Limits: how many headers a request has, and how many wrong passwords an address."""

from django.contrib.auth import get_user_model
from django.test import TestCase, override_settings

from .support import CleanCache, cache_that_is_down

LOGIN = "/admin/login/"
RIGHT = "right"


class Headers(TestCase):
    def test_more_than_a_browser_sends_are_refused_with_a_page(self) -> None:
        many = {f"x-header-{number}": "x" for number in range(200)}
        answer = self.client.get("/", headers=many)
        self.assertContains(answer, "This request is too large", status_code=431)
        self.assertIn("default-src 'self'", answer["Content-Security-Policy"])

    def test_many_are_taken(self) -> None:
        many = {f"x-header-{number}": "x" for number in range(90)}
        self.assertEqual(200, self.client.get("/", headers=many).status_code)


@override_settings(LOGIN_FAILURES=3)
class Logins(CleanCache, TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        get_user_model().objects.create_superuser("ann", password=RIGHT)

    def log_in(self, password: str, address: str = "192.0.2.1", **headers: str) -> int:
        """Tries a password through the proxy, which has seen the address; returns the status."""
        form = {"username": "ann", "password": password}
        seen = {"x-forwarded-for": address, **headers}
        return self.client.post(LOGIN, form, headers=seen).status_code

    def test_after_too_many_wrong_passwords_the_address_waits(self) -> None:
        self.assertEqual([200] * 3, [self.log_in(f"wrong {number}") for number in range(3)])
        self.assertEqual(429, self.log_in(RIGHT))
        self.assertEqual(302, self.log_in(RIGHT, address="192.0.2.2"))

    def test_an_address_that_a_client_makes_up_is_no_way_around(self) -> None:
        for number in range(3):
            self.log_in("wrong", address=f"203.0.113.{number}, 192.0.2.1")
        self.assertEqual(429, self.log_in(RIGHT))

    def test_the_page_says_what_to_do(self) -> None:
        for _ in range(3):
            self.log_in("wrong")
        answer = self.client.post(LOGIN, {}, headers={"x-forwarded-for": "192.0.2.1"})
        # The form itself is not sent to authentication while it is incomplete.
        self.assertEqual(200, answer.status_code)
        form = {"username": "ann", "password": RIGHT}
        answer = self.client.post(LOGIN, form, headers={"x-forwarded-for": "192.0.2.1"})
        self.assertContains(answer, "Too many attempts", status_code=429)

    def test_without_the_cache_one_can_log_in(self) -> None:
        with override_settings(CACHES=cache_that_is_down()):
            self.assertEqual(200, self.log_in("wrong"))
            self.assertEqual(302, self.log_in(RIGHT))
