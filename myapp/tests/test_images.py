"""Images of links: what is taken, under which name it is stored, and where it is shown."""

import tempfile
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import TestCase, override_settings

from myapp.images import KINDS
from myapp.models import Link

LONG = "https://docs.example.org/a/long/path"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


class Images(TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.enterContext(override_settings(MEDIA_ROOT=self.root))
        self.client.force_login(get_user_model().objects.create_superuser("someone"))

    def upload(self, content: bytes, name: str = "cat.png") -> Any:
        """Makes a link with an image in the admin."""
        image = SimpleUploadedFile(name, content)
        fields = {"target": LONG, "code": "cat", "image": image}
        return self.client.post("/admin/myapp/link/add/", fields)

    def change(self, **fields: object) -> Link:
        """Changes the one link in the admin; returns it."""
        link = Link.objects.get()
        self.client.post(f"/admin/myapp/link/{link.pk}/change/", {"target": LONG, **fields})
        return Link.objects.get()

    def stored(self) -> list[str]:
        """Returns the names of all stored files."""
        return sorted(str(f.relative_to(self.root)) for f in self.root.rglob("*") if f.is_file())

    def test_every_kind_is_stored_under_a_name_that_says_what_it_is(self) -> None:
        for kind, (first, later) in KINDS.items():
            with self.subTest(kind=kind):
                Link.objects.all().delete()
                self.upload(first.ljust(8, b"x") + later + bytes(50), "../../evil.html")
                name = str(Link.objects.get().image.name)
                self.assertRegex(name, rf"^links/[0-9a-f]{{16}}\.{kind}$")
                self.assertIn(name, self.stored())

    def test_is_on_the_page_and_a_link_without_one_has_none(self) -> None:
        Link.objects.create(code="none", target=LONG)
        self.assertNotContains(self.client.get("/"), "<img class")
        self.upload(PNG)
        page = self.client.get("/")
        self.assertContains(page, f'src="/media/{Link.objects.get(code="cat").image.name}"')

    def test_what_is_no_image_is_refused_whatever_its_name_says(self) -> None:
        for content in (
            b"<script>alert(1)</script>",
            b"<svg onload=alert(1)>",
            b"RIFF1234WAVE",
            b"x",
        ):
            with self.subTest(content=content):
                self.assertContains(self.upload(content), "Only PNG, JPEG, GIF and WebP")
        self.assertEqual([], self.stored())
        self.assertFalse(Link.objects.exists())

    def test_what_is_too_large_is_refused(self) -> None:
        self.assertContains(self.upload(PNG.ljust(512 * 1024 + 1)), "at most 512 KB")
        self.assertEqual([], self.stored())
        self.upload(PNG.ljust(512 * 1024))
        self.assertEqual(1, len(self.stored()))

    def test_without_a_place_for_it_says_so(self) -> None:
        with override_settings(MEDIA_ROOT=Path("/nowhere/media")):
            self.assertContains(self.upload(PNG), "This site has no place for images.")

    def test_the_page_for_everyone_takes_none(self) -> None:
        self.client.post("/", {"target": LONG, "image": SimpleUploadedFile("cat.png", PNG)})
        self.assertEqual("", Link.objects.get().image.name)
        self.assertEqual([], self.stored())

    def test_it_stays_is_replaced_or_is_cleared(self) -> None:
        self.upload(PNG)
        first = str(Link.objects.get().image.name)
        self.assertEqual(first, self.change().image.name)
        dog = SimpleUploadedFile("dog.gif", b"GIF89a" + bytes(50))
        second = str(self.change(image=dog).image.name)
        self.assertRegex(second, r"\.gif$")
        # A restored database may name the one before.
        self.assertEqual(sorted([first, second]), self.stored())
        self.assertEqual("", self.change(**{"image-clear": "on"}).image.name)

    def test_a_link_whose_file_is_gone_can_be_shown_and_changed(self) -> None:
        self.upload(PNG)
        for name in self.stored():
            (self.root / name).unlink()
        self.assertEqual(200, self.client.get("/").status_code)
        self.assertTrue(self.change().image.name)
