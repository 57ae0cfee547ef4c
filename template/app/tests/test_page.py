"""The pages, and what is shown when something goes wrong."""

from unittest import mock

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.test import TestCase, override_settings


class ThePages(TestCase):
    @override_settings(VERSION="4f2a9c1")
    def test_the_first_one_shows_the_version(self) -> None:
        self.assertContains(self.client.get("/"), "4f2a9c1")

    def test_the_admin_asks_for_a_login(self) -> None:
        self.assertContains(self.client.get("/admin/", follow=True), 'type="password"')

    def test_what_goes_wrong_has_a_page_without_details(self) -> None:
        self.client.raise_request_exception = False
        errors = {403: PermissionDenied, 404: Http404, 500: RuntimeError("a secret detail")}
        for status, error in errors.items():
            with self.subTest(status=status), mock.patch("myapp.views.render", side_effect=error):
                answer = self.client.get("/")
                self.assertContains(answer, "Back to the start", status_code=status)
                self.assertNotContains(answer, "a secret detail", status_code=status)
