"""What a short link may lead to."""

from django.core.exceptions import ValidationError
from django.test import SimpleTestCase, override_settings

from myapp.targets import LONGEST, clean_target


class Targets(SimpleTestCase):
    def assert_refused(self, *addresses: str) -> None:
        for address in addresses:
            with self.subTest(address=address), self.assertRaises(ValidationError):
                clean_target(address)

    def test_are_kept_as_they_are(self) -> None:
        for address in (
            "https://www.example.com/",
            "http://example.com:8080/a/b?c=d&e=%20#f",
            "https://203.0.113.7/",
            "https://[2001:db8::1]:8443/x",
            "https://example.com/?next=https://links.example.com/",
        ):
            with self.subTest(address=address):
                self.assertEqual(address, clean_target(address))

    def test_get_one_spelling(self) -> None:
        for address, expected in {
            "example.com/path": "https://example.com/path",
            "example.com:8080/path": "https://example.com:8080/path",
            "HTTPS://WWW.Example.COM./Path": "https://www.example.com/Path",
            "https://b\u00fccher.example/\u00fc": "https://xn--bcher-kva.example/%C3%BC",
            "https://stra\u00dfe.example/": "https://xn--strae-oqa.example/",
            "https://[2001:DB8:0:0::1]/": "https://[2001:db8::1]/",
        }.items():
            with self.subTest(address=address):
                self.assertEqual(expected, clean_target(address))

    def test_of_other_schemes_are_refused(self) -> None:
        self.assert_refused(
            "javascript:alert(1)",
            "JavaScript://example.com/%0aalert(1)",
            "data:text/html,x",
            "ftp://example.com/",
            "file:///etc/passwd",
            "mailto:someone@example.com",
            "//example.com/",
        )

    def test_that_are_no_address_are_refused(self) -> None:
        self.assert_refused(
            "https://",
            "https:///path",
            "https:/example.com",
            "https://example",
            "https://exa_mple!.com",
            "https://example.com:99999/",
            "https://example.com:port/",
            "https://[::1",
            "https://[fe80::1%25eth0]/",
            "https://ex%61mple.com/",
            "https://2130706433/",
            "https://0177.0.0.1/",
        )

    def test_with_invisible_characters_are_refused(self) -> None:
        self.assert_refused(
            "https://example.com/a b",
            "https://example.com/\r\nSet-Cookie: a=b",
            "https://exam\tple.com/",
            "https://example.com/\x00",
            "https://example.com/\u202egnp.exe",
            "https://exam\u00adple.com/",
            "https:\\\\links.example.com\\",
            "https://a.example\\@links.example.com/",
        )

    def test_with_a_user_name_are_refused(self) -> None:
        self.assert_refused(
            "https://links.example.com@evil.example/",
            "https://a:b@links.example.com/",
            "https://@example.com/",
        )

    def test_that_are_too_long_are_refused(self) -> None:
        start = "https://example.com/"
        longest = start + "a" * (LONGEST - len(start))
        self.assertEqual(longest, clean_target(longest))
        self.assert_refused(f"{longest}a", start + "\u00fc" * 400)

    def test_on_this_site_are_refused(self) -> None:
        self.assert_refused(
            "https://links.example.com/abc",
            "http://links.example.com/abc",
            "links.example.com/abc",
            "https://LINKS.example.COM/abc",
            "https://links.example.com./abc",
            "https://links.example.com:8443/abc",
            "https://links\u3002example\uff0ecom/abc",
            "//links.example.com/abc",
            "https:////links.example.com/abc",
            "https:links.example.com/abc",
            "https://\uff4c\uff49\uff4e\uff4b\uff53.example.com/abc",
        )

    @override_settings(SITE_URL="", ALLOWED_HOSTS=["*", ".example.org", "127.0.0.1", "[::1]"])
    def test_on_any_host_of_this_site_are_refused(self) -> None:
        self.assert_refused(
            "https://example.org/",
            "https://a.example.org/",
            "http://127.0.0.1:8000/",
            "http://[::ffff:127.0.0.1]/",
            "http://[0:0:0:0:0:0:0:1]/",
        )
        self.assertEqual("https://links.example.com/", clean_target("https://links.example.com/"))
