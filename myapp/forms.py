"""The form that makes a link; the page and the admin share it."""

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction

from .codes import LONGEST, clean_code
from .images import clean_image
from .models import Link
from .targets import clean_target

PLAIN = {"autocapitalize": "none", "autocomplete": "off", "spellcheck": "false"}


class LinkForm(forms.ModelForm):
    """Asks for the address to shorten and, if wanted, an ending of one's own."""

    target = forms.CharField(
        label="Long address",
        max_length=Link._meta.get_field("target").max_length,
        widget=forms.TextInput(
            attrs=PLAIN | {"inputmode": "url", "placeholder": "https://example.com/a/long/path"}
        ),
        error_messages={"required": "Please enter the address that you want to shorten."},
    )
    code = forms.CharField(
        label="Custom ending",
        required=False,
        max_length=LONGEST,
        widget=forms.TextInput(attrs=PLAIN | {"placeholder": "spring-sale"}),
    )

    class Meta:
        model = Link
        fields = ["target", "code"]

    def clean_target(self) -> str:
        """Returns the address in its stored form."""
        return clean_target(self.cleaned_data["target"])

    def clean_code(self) -> str:
        """Returns the chosen ending, or nothing."""
        code = self.cleaned_data["code"]
        return clean_code(code) if code else ""

    def save_if_free(self) -> Link | None:
        """Saves the link; says so in the form when its ending was taken a moment ago."""
        try:
            with transaction.atomic():
                return self.save()
        except IntegrityError:
            taken = Link._meta.get_field("code").error_messages["unique"]
            self.add_error("code", taken)
            return None


class AdminLinkForm(LinkForm):
    """The form with an image, for those who administer the links."""

    class Meta(LinkForm.Meta):
        fields = ["target", "code", "image"]

    def clean_image(self) -> Any:
        """Returns the new image, the one that stays, or False to have none."""
        image = self.cleaned_data["image"]
        return clean_image(image) if isinstance(image, UploadedFile) else image
