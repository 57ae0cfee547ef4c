"""What a short link may lead to."""

import re
import unicodedata
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit, urlunsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.http.request import validate_host
from django.utils.encoding import iri_to_uri

from .settings.env import host_of

LONGEST = 2000
NO_ADDRESS = "This is not a web address."
is_web_address = URLValidator(schemes=["http", "https"], message=NO_ADDRESS)


def clean_target(value: str) -> str:
    """Returns an address in the one form that is stored; refuses what must not be redirected to."""
    try:
        parts = _split(value)
        host, port = _looked_up(parts.hostname or ""), parts.port
    except ValueError as error:
        raise ValidationError(NO_ADDRESS) from error
    if parts.scheme not in ("http", "https"):
        raise ValidationError(
            "Only addresses that begin with http:// or https:// can be shortened."
        )
    if not host:
        raise ValidationError(NO_ADDRESS)
    if "@" in parts.netloc:
        raise ValidationError("An address with a user name or a password cannot be shortened.")
    if validate_host(host, _own_hosts()):
        raise ValidationError("This address is already on this site.")
    netloc = host if port is None else f"{host}:{port}"
    address = iri_to_uri(urlunsplit(parts._replace(netloc=netloc)))
    if len(address) > LONGEST:
        raise ValidationError(f"An address can have at most {LONGEST} characters.")
    is_web_address(address)
    return address


def _split(value: str) -> SplitResult:
    """Takes an address apart, where programs agree on its parts; without a scheme it gets https."""
    if any(char.isspace() or not char.isprintable() or char == "\\" for char in value):
        raise ValidationError("An address has no spaces, backslashes or invisible characters.")
    # A name before a colon is a scheme, unless a port follows it: localhost:8000.
    has_scheme = re.match(r"[a-z][a-z0-9+.-]*:(?!\d)", value, re.IGNORECASE)
    return urlsplit(value if has_scheme else f"https://{value}")


def _own_hosts() -> list[str]:
    """Returns the hosts under which this site answers: a link to them could run in a circle."""
    public = [host_of(settings.SITE_URL)] if settings.SITE_URL else []
    return [host for host in [*public, *settings.ALLOWED_HOSTS] if host != "*"]


def _looked_up(host: str) -> str:
    """Returns a host as a browser looks it up, so that one host has one spelling."""
    host = unicodedata.normalize("NFKC", host).lower().replace("\u3002", ".").rstrip(".")
    if ":" in host:
        address = ip_address(host)
        mapped = getattr(address, "ipv4_mapped", None)
        return str(mapped or f"[{address}]")
    return ".".join(
        label if label.isascii() else f"xn--{label.encode('punycode').decode()}"
        for label in host.split(".")
    )
