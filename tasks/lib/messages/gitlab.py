"""GitLab's page of environments, which gets the true state of each deploy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..http_client import HttpClient
from .message import BEGUN, DONE, PROBLEM, Message
from .receivers import TIMEOUT, UndeliveredError, send

# The variable with the token.
VARIABLE = "GITLAB_TOKEN"
# A deployment's status, by the event; otherwise it failed.
STATES = {BEGUN: "running", DONE: "success"}


class GitLab:
    """The deployments of a GitLab project.

    The source: https://docs.gitlab.com/api/deployments/. A job of GitLab CI with `environment:`
    has a deployment already, which ends as the job does.

    Args:
        project: https://HOST/api/v4/projects/ID.
        ref: the branch that a deployment is shown with.
    """

    name = "GitLab"

    def __init__(self, project: str, token: str, ref: str) -> None:
        self._project, self._token, self._ref = project.rstrip("/"), token, ref
        self._client, self._deployments = HttpClient(TIMEOUT), dict[int, int]()

    def send(self, message: Message) -> None:
        if message.event == PROBLEM:
            return
        if not self._token:
            raise UndeliveredError(f"the variable {VARIABLE} is not set", False)
        status = STATES.get(message.event, "failed")
        if number := self._deployments.get(message.release):
            self._call("PUT", f"/deployments/{number}", {"status": status})
            return
        names = {"environment": message.environment, "sha": message.commit, "ref": self._ref}
        made = self._call("POST", "/deployments", {**names, "tag": False, "status": status})
        self._deployments[message.release] = made

    def _call(self, method: str, path: str, values: Mapping[str, Any]) -> int:
        """Call the API, and return the number of the deployment that it answers with."""
        headers, body = {"PRIVATE-TOKEN": self._token}, json.dumps(values).encode()
        answer = send(self._client, self._project + path, body, headers, method)
        try:
            return int(json.loads(answer)["id"])
        except (ValueError, KeyError, TypeError):
            raise UndeliveredError("its answer is no deployment", False) from None
