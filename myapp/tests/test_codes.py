"""Short codes: random, chosen, reserved."""

from unittest import mock

from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.test import SimpleTestCase, TestCase
from django.urls import get_resolver

from myapp import codes
from myapp.models import Link


class RandomCodes(TestCase):
    def test_have_no_letters_that_are_mistaken_for_others(self) -> None:
        code = codes.random_code()
        self.assertEqual(codes.LENGTH, len(code))
        self.assertFalse(set(code) & set("0o1il"))

    def test_are_always_allowed_as_a_code(self) -> None:
        code = codes.random_code()
        self.assertEqual(code, codes.clean_code(code))

    @mock.patch.multiple(codes, ALPHABET="bc", LENGTH=1)
    def test_that_are_taken_are_tried_again(self) -> None:
        Link.objects.create(code="b", target="https://a.example/")
        self.assertEqual("c", Link.objects.create(target="https://a.example/").code)

    @mock.patch.multiple(codes, ALPHABET="b", LENGTH=1)
    def test_that_are_all_taken_end_in_an_error(self) -> None:
        Link.objects.create(code="b", target="https://a.example/")
        with self.assertRaises(IntegrityError):
            Link.objects.create(target="https://a.example/")


class ChosenCodes(SimpleTestCase):
    def test_are_kept_in_small_letters(self) -> None:
        self.assertEqual("spring-sale-26", codes.clean_code("Spring-Sale-26"))

    def test_of_another_form_are_refused(self) -> None:
        for code in (
            "ab",
            "a" * 33,
            "-abc",
            "abc-",
            "a/b",
            "a b",
            "a.b",
            "caf\u00e9",
            "../x",
            "abc\n",
        ):
            with self.subTest(code=code), self.assertRaises(ValidationError):
                codes.clean_code(code)

    def test_that_are_reserved_are_refused(self) -> None:
        for code in ("admin", "LIVEZ", "static"):
            with self.subTest(code=code), self.assertRaises(ValidationError):
                codes.clean_code(code)

    def test_cannot_hide_a_page_of_ours(self) -> None:
        paths = [str(pattern.pattern) for pattern in get_resolver().url_patterns]
        ours = {path.split("/")[0] for path in [*paths, "static/", "livez", "readyz"]} - {""}
        self.assertEqual(set(), {word for word in ours if "<" not in word} - codes.RESERVED)
