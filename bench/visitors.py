"""The app for measurements: what it is started with, and those who use it."""

from __future__ import annotations

import re
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, build_opener

from tests.testbed.commands import ROOT, output
from tests.testbed.measured import PYTHON, environment

SETTINGS = "myapp.settings.prod"
# Views of the admin, each of which an administrator opens.
ADMIN = ("", "myapp/link/", "myapp/link/add/", "auth/user/", "auth/user/1/change/", "auth/group/")
USER = {
    "username": "admin",
    "email": "admin@example.com",
    "password": "of-a-measurement",  # pragma: allowlist secret
}


def variables(folder: Path, database: str, **more: str) -> dict[str, str]:
    """Return the app's variables, once its database has all tables and an administrator."""
    env = {
        "SECRET_KEY": "of-a-measurement" * 4,  # pragma: allowlist secret
        "SITE_URL": "http://127.0.0.1",
        "DATABASE_URL": database,
        "STATIC_ROOT": f"{folder}/static",
        **more,
    }
    given = env | {f"DJANGO_SUPERUSER_{key.upper()}": value for key, value in USER.items()}
    for command in ("migrate", "collectstatic", "createsuperuser"):
        words = [PYTHON, ROOT / "manage.py", command, "--no-input", "--verbosity=0"]
        output(words, ROOT, **environment(folder, SETTINGS, **given))
    return env


class Staying(HTTPRedirectHandler):
    """Follows no link to elsewhere."""

    def redirect_request(self, *_: object) -> None:
        """Take a redirect for the answer."""


class Visitors:
    """An administrator, and others who follow links."""

    def __init__(self, port: int) -> None:
        self.site = f"http://127.0.0.1:{port}"
        self.open = build_opener(HTTPCookieProcessor(CookieJar()), Staying()).open
        self.post("/admin/login/", username=USER["username"], password=USER["password"])

    def visit(self, path: str, **form: str) -> str:
        """Return a page, or an error's."""
        try:
            with self.open(self.site + path, urlencode(form).encode() if form else None) as answer:
                return str(answer.read().decode())
        except HTTPError as error:
            return error.read().decode()

    def post(self, path: str, **form: str) -> None:
        """Fill in the form of a page."""
        found = re.search('csrfmiddlewaretoken" value="([^"]+)', self.visit(path))
        token = found[1] if found else ""
        self.visit(path, csrfmiddlewaretoken=token, **form)

    def browse(self, number: int) -> None:
        """Use the app as people do."""
        self.post("/", target=f"https://example.com/{number}", code=f"code-{number}")
        for path in ("/", f"/code-{number}", "/code-0", "/nowhere/at/all", "/livez", "/readyz"):
            self.visit(path)
        for path in ADMIN:
            self.visit(f"/admin/{path}")
