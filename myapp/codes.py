"""The short codes: random ones, and those that people choose."""

import re
import secrets

from django.core.exceptions import ValidationError

# No vowels, so no words; none of 0 o 1 l i, so none is mistaken for another.
ALPHABET = "23456789bcdfghjkmnpqrstvwxyz"  # pragma: allowlist secret
LENGTH = 7
LONGEST = 32
# fmt: off
RESERVED = frozenset({
    "about", "admin", "api", "app", "assets", "favicon", "health", "healthz", "help", "livez",
    "login", "logout", "media", "metrics", "new", "readyz", "robots", "signup", "static", "status",
    "www",
})
# fmt: on


def random_code() -> str:
    """Returns a code that nobody can guess from the one before."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def clean_code(value: str) -> str:
    """Returns a chosen code in small letters; refuses what cannot be a short link."""
    code = value.lower()
    if not re.fullmatch(rf"[a-z0-9](?:[a-z0-9-]{{1,{LONGEST - 2}}}[a-z0-9])", code):
        raise ValidationError(
            f"Use 3 to {LONGEST} letters, digits or hyphens, with a letter or digit at both ends."
        )
    if code in RESERVED:
        raise ValidationError("This ending is reserved. Please choose another one.")
    return code


class CodeConverter:
    """Matches short codes in addresses, in any case, and leaves reserved words alone."""

    regex = rf"[A-Za-z0-9-]{{1,{LONGEST}}}"

    def to_python(self, value: str) -> str:
        """Returns the code as it is stored."""
        if value.lower() in RESERVED:
            raise ValueError
        return value.lower()

    def to_url(self, value: str) -> str:
        """Returns the code as it is."""
        return value
