"""Render the home page without a server: an error is found before a user can meet it."""

import logging
import os
import sys
import traceback
from urllib.parse import urlsplit

from django.test import Client


def require() -> None:
    """Exit with status 1 and the reason when the home page cannot be rendered."""
    site, path = os.environ["SITE_URL"], os.environ["APP_PAGE"]
    url = site.rstrip("/") + path
    # The error is printed below; the app's log would repeat it.
    logging.disable()
    client = Client(headers={"host": urlsplit(site).netloc})
    try:
        status = client.get(path, secure=site.startswith("https:")).status_code
    except Exception as error:
        traceback.print_exc(limit=-8, chain=False)
        first = (str(error).splitlines() or [""])[0]
        sys.exit(f"{url} would fail: {type(error).__name__}: {first}")
    if status >= 500:
        sys.exit(f"{url} would answer {status}")
