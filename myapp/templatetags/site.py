"""What the templates say about the site; needs no request, so error pages can use it too."""

from django import template
from django.conf import settings

register = template.Library()


@register.simple_tag
def version() -> str:
    """Returns the version that runs."""
    return str(settings.VERSION)


@register.filter
def bare(address: str) -> str:
    """Returns an address without its scheme, as people say it."""
    return address.partition("://")[2]
