"""A site in a namespace of a lab's cluster."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

from tests.testbed.commands import docker
from tests.testbed.sites import Site


class OnCluster(Site):
    """A site on a cluster, of which kubectl says what is there."""

    column = 5
    unready = "probe failed: HTTP probe failed with statuscode: 503"
    unheard = "connect: connection refused"
    exited = "failed: exit ({})"

    def kubectl(self, *words: str, text: str = "", namespace: str = "") -> str:
        """What kubectl prints on the first server, for the namespace of the site."""
        own = f"--namespace={namespace or self.stack}"
        return docker(
            "exec", "--interactive", self.nodes["node1"], "kubectl", own, *words, text=text
        )

    def _items(self, kind: str, *words: str) -> list[dict[str, Any]]:
        """The objects of a kind; none where there is no namespace."""
        return list(json.loads(self.kubectl("get", kind, "--output=json", *words))["items"])

    @property
    def lock(self) -> str:
        """The lock's text; empty when nobody has it."""
        found = [each for each in self._items("lease") if each["metadata"]["name"] == "deploy-lock"]
        return "".join(each["spec"].get("holderIdentity", "") for each in found)

    def history(self) -> list[dict[str, Any]]:
        """The records of the releases, the newest first."""
        found = self._items("secret", "--selector=deploy.kind=release")
        texts = (b64decode(each["data"]["release.json"]) for each in found)
        return sorted(map(json.loads, texts), key=lambda each: -each["number"])

    def services(self) -> list[str]:
        """The stack's services."""
        found = self._items("deployment") + self._items("statefulset")
        return sorted(each["metadata"]["name"] for each in found)

    def jobs(self) -> str:
        """The one-off jobs that are in the namespace."""
        return " ".join(each["metadata"]["name"] for each in self._items("job"))

    def job(self, name: str) -> str:
        """How the name of a one-off job begins."""
        return f"job-{name}-"

    def tasks(self, *services: str) -> list[str]:
        """The pods of services that are not stopping."""
        only = f"--selector=app.kubernetes.io/component in ({','.join(services)})"
        found = [each["metadata"] for each in self._items("pod", only)]
        return sorted(each["uid"] for each in found if "deletionTimestamp" not in each)

    def sql(self, text: str) -> str:
        """What the database answers, a line a row."""
        psql = ("psql", "-U", "app", "-d", "app", "-qAtv", "ON_ERROR_STOP=1")
        return self.kubectl("exec", "--stdin", "statefulset/db", "--", *psql, text=text).strip()

    def psql(self) -> list[str]:
        """The command with which a person is in the database."""
        inner = ("exec", "--stdin", "statefulset/db", "--", "psql", "-U", "app", "-d", "app")
        first = ("docker", "exec", "--interactive", self.nodes["node1"], "kubectl")
        return [*first, f"--namespace={self.stack}", *inner]

    def wipe(self) -> None:
        """Leave nothing of the environment in the cluster."""
        self.inv("destroy", "--volumes", "--yes")
