"""Sentry's page of releases, which shows when each one was deployed, and where."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ..http_client import HttpClient
from .message import DONE, Message
from .receivers import TIMEOUT, UndeliveredError, send

# The variable with the token.
VARIABLE = "SENTRY_AUTH_TOKEN"


class Sentry:
    """The deploys of a Sentry project: those that are done.

    The source: https://docs.sentry.io/api/releases/. A deploy belongs to a release, which is made
    first; an existing one stays as it is.

    Args:
        project: https://HOST/api/0/projects/ORGANIZATION/PROJECT.
    """

    name = "Sentry"

    def __init__(self, project: str, token: str) -> None:
        api, _, names = project.rstrip("/").rpartition("/projects/")
        organization, _, self._project = names.partition("/")
        self._releases = f"{api}/organizations/{organization}/releases/"
        self._token, self._client = token, HttpClient(TIMEOUT)

    def send(self, message: Message) -> None:
        if message.event != DONE:
            return
        if not self._token:
            raise UndeliveredError(f"the variable {VARIABLE} is not set", False)
        self._post("", {"version": message.commit, "projects": [self._project]})
        path = f"{quote(message.commit, safe='')}/deploys/"
        # Sentry allows no slash.
        where = message.environment.replace("/", "-")
        name = f"{message.kind} of release {message.release}"
        known = {"environment": where, "name": name, "url": message.url}
        self._post(path, {**known, "projects": [self._project], "dateFinished": message.at})

    def _post(self, path: str, values: Mapping[str, Any]) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        send(self._client, self._releases + path, json.dumps(values).encode(), headers)
