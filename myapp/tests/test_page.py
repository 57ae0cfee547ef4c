"""The page: making links, listing them, and what goes wrong."""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.test import Client, TestCase, override_settings
from django.urls import path

from myapp import views
from myapp.forms import LinkForm
from myapp.models import Link

LONG = "https://docs.example.org/a/long/path"


def fail(request: HttpRequest) -> HttpResponse:
    """Stands for a view with a mistake in it."""
    raise RuntimeError("a secret detail")


def forbid(request: HttpRequest) -> HttpResponse:
    """Stands for a view that is not for everyone."""
    raise PermissionDenied


urlpatterns = [path("", views.home, name="home"), path("fail", fail), path("forbid", forbid)]


class MakingALink(TestCase):
    def test_shows_the_short_link(self) -> None:
        page = self.client.post("/", {"target": LONG}, follow=True)
        link = Link.objects.get()
        self.assertEqual([(f"/?created={link.code}", 302)], page.redirect_chain)
        self.assertContains(page, "Your short link is ready")
        self.assertContains(
            page, f'<code class="copy">https://links.example.com/<wbr>{link.code}</code>'
        )

    def test_with_an_ending_of_ones_own_keeps_it(self) -> None:
        self.client.post("/", {"target": LONG, "code": "Spring-Sale"})
        self.assertEqual(LONG, Link.objects.get(code="spring-sale").target)

    def test_without_an_address_says_what_to_do(self) -> None:
        page = self.client.post("/", {"target": " "})
        self.assertContains(page, "Please enter the address that you want to shorten.")
        self.assertContains(page, 'aria-describedby="id_target_error"')
        self.assertFalse(Link.objects.exists())

    def test_with_a_bad_address_and_ending_shows_both_errors_and_keeps_the_text(self) -> None:
        page = self.client.post("/", {"target": "javascript:alert(1)", "code": "admin"})
        self.assertContains(page, "Only addresses that begin with")
        self.assertContains(page, "This ending is reserved.")
        self.assertContains(page, 'value="javascript:alert(1)"')

    def test_with_an_ending_that_is_taken_says_so(self) -> None:
        Link.objects.create(code="mine", target=LONG)
        page = self.client.post("/", {"target": LONG, "code": "MINE"})
        self.assertContains(page, "This ending is taken.")

    def test_with_an_ending_that_was_taken_a_moment_ago_says_so(self) -> None:
        form = LinkForm({"target": LONG, "code": "mine"})
        self.assertTrue(form.is_valid())
        Link.objects.create(code="mine", target=LONG)
        self.assertIsNone(form.save_if_free())
        self.assertIn("This ending is taken.", form.errors["code"][0])

    def test_without_a_csrf_token_is_refused(self) -> None:
        page = Client(enforce_csrf_checks=True).post("/", {"target": LONG})
        self.assertContains(page, "Please send that again", status_code=403)
        self.assertFalse(Link.objects.exists())

    def test_by_another_method_is_refused(self) -> None:
        self.assertEqual(405, self.client.put("/").status_code)


class ListingLinks(TestCase):
    def test_without_links_says_so(self) -> None:
        self.assertContains(self.client.get("/"), "No links yet")

    def test_shows_the_newest_first_with_its_clicks(self) -> None:
        Link.objects.create(code="old", target=LONG, clicks=1)
        Link.objects.create(code="new", target=LONG, clicks=12904)
        page = self.client.get("/")
        self.assertEqual(["new", "old"], [link.code for link in page.context["page"]])
        self.assertContains(page, "<strong>12,904</strong> clicks", html=False)
        self.assertContains(page, "<strong>1</strong> click\n", html=False)

    @override_settings(LINKS_PER_PAGE=2)
    def test_is_split_into_pages(self) -> None:
        for code in ("one", "two", "three", "four", "five"):
            Link.objects.create(code=code, target=LONG)
        page = self.client.get("/?page=2&created=one")
        self.assertEqual(["three", "two"], [link.code for link in page.context["page"]])
        self.assertContains(page, '<a rel="prev" href="?page=1">Newer</a>', html=True)
        self.assertContains(page, '<a rel="next" href="?page=3">Older</a>', html=True)
        self.assertContains(page, "Page 2 of 3")

    @override_settings(LINKS_PER_PAGE=2)
    def test_answers_a_page_that_does_not_exist_with_the_nearest(self) -> None:
        for code in ("one", "two", "three"):
            Link.objects.create(code=code, target=LONG)
        for asked, shown in (("99", 2), ("x", 1), ("-1", 2)):
            self.assertEqual(shown, self.client.get("/", {"page": asked}).context["page"].number)

    def test_shows_nothing_new_for_a_code_that_does_not_exist(self) -> None:
        for code in ("unknown", "", "\x00", "a" * 100, "<b>"):
            page = self.client.get("/", {"created": code})
            self.assertNotContains(page, "Your short link is ready")

    def test_escapes_what_people_typed(self) -> None:
        Link.objects.create(code="bad", target='https://a.example/"><script>alert(1)</script>')
        self.assertNotContains(self.client.get("/?created=bad"), "<script>")

    @override_settings(VERSION="3f9c2d7be81a4c5f6d0e")
    def test_tells_the_version(self) -> None:
        self.assertContains(self.client.get("/"), "3f9c2d7be81a4c5f6d0e")

    @override_settings(SITE_URL="")
    def test_without_a_public_address_uses_the_one_that_was_asked(self) -> None:
        Link.objects.create(code="here", target=LONG)
        self.assertContains(self.client.get("/"), "testserver/<wbr>here")


@override_settings(ROOT_URLCONF=__name__)
class ErrorPages(TestCase):
    def test_name_what_happened_and_lead_back(self) -> None:
        client = Client(raise_request_exception=False)
        for address, status, words in (
            ("/nowhere", 404, "This link leads nowhere"),
            ("/forbid", 403, "This is not for everyone"),
            ("/fail", 500, "Something broke here"),
        ):
            with self.subTest(address=address):
                page = client.get(address)
                self.assertContains(page, words, status_code=status)
                self.assertContains(page, 'href="/">Back to the start', status_code=status)
                self.assertNotContains(page, "a secret detail", status_code=status)

    def test_a_foreign_host_gets_a_page_too(self) -> None:
        page = self.client.get("/", headers={"host": "evil.example"})
        self.assertContains(page, "This request makes no sense", status_code=400)


class Headers(TestCase):
    def test_allow_only_what_this_site_serves(self) -> None:
        headers = self.client.get("/").headers
        self.assertIn("default-src 'self'", headers["Content-Security-Policy"])
        self.assertIn("frame-ancestors 'none'", headers["Content-Security-Policy"])
        self.assertEqual("nosniff", headers["X-Content-Type-Options"])
        self.assertIn("camera=()", headers["Permissions-Policy"])

    @override_settings(DEBUG=True)
    def test_leave_the_error_pages_of_development_their_styles(self) -> None:
        self.assertNotIn("Content-Security-Policy", self.client.get("/no/where").headers)

    def test_carry_a_request_id_that_is_kept_when_it_is_one(self) -> None:
        given = "0123456789abcdef0123456789abcdef"
        self.assertEqual(
            given, self.client.get("/", headers={"x-request-id": given})["X-Request-ID"]
        )
        made = self.client.get("/", headers={"x-request-id": "not\tone"})["X-Request-ID"]
        self.assertRegex(made, "^[0-9a-f]{32}$")


class TheLog(TestCase):
    def test_has_one_line_for_each_request(self) -> None:
        with self.assertLogs("myapp.request") as log:
            self.client.get("/no%0Awhere?token=private")
        self.assertEqual(1, len(log.records))
        self.assertRegex(log.records[0].getMessage(), r"^GET /no%0Awhere 404 [\d.]+ ms$")

    def test_has_no_line_for_a_probe(self) -> None:
        with self.assertNoLogs("myapp.request"):
            self.client.get("/livez")


class Admin(TestCase):
    def setUp(self) -> None:
        from django.contrib.auth import get_user_model

        self.client.force_login(get_user_model().objects.create_superuser("someone"))

    def test_validates_as_the_page_does(self) -> None:
        fields = {"target": "ftp://a.example", "code": ""}
        page = self.client.post("/admin/myapp/link/add/", fields)
        self.assertContains(page, "Only addresses that begin with")

    def test_makes_a_link_without_an_ending(self) -> None:
        self.client.post("/admin/myapp/link/add/", {"target": LONG, "code": ""})
        self.assertEqual(LONG, Link.objects.get().target)

    def test_changes_where_a_link_leads_and_never_its_code(self) -> None:
        link = Link.objects.create(code="known", target=LONG)
        other = "https://example.org/other"
        address = f"/admin/myapp/link/{link.pk}/change/"
        self.client.post(address, {"target": other, "code": "changed"})
        link.refresh_from_db()
        self.assertEqual(("known", other), (link.code, link.target))
        self.assertContains(self.client.get("/admin/myapp/link/?q=known"), "known")

    def test_is_found_without_the_slash_at_the_end(self) -> None:
        self.assertRedirects(self.client.get("/admin"), "/admin/", status_code=301)
