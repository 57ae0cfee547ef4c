"""The objects of a cluster's namespace, as dictionaries; lightkube makes the requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import TaskError
from . import connection, objects, sign_in
from .kubeconfig import Access
from .objects import Object

if TYPE_CHECKING:
    from httpx2 import Response

T = TypeVar("T")
# Named here: inside of the class, `list` is a method.
Objects = list[Object]
Lines = list[str]
# The name that the cluster knows our changes by.
MANAGER = "inv"
# The pauses before a request is sent again: each of ours may be.
PAUSES = (0.2, 0.5, 1, 2, 4)
# Seconds that a command in a container may take.
EXECUTION = 60
PASSING = {429, 500, 502, 503, 504}
MISSING, CONFLICT, DENIED = 404, 409, 403
HINTS = {
    connection.UNKNOWN: "sign in again, or renew the token or the certificate of the kubeconfig",
    DENIED: "let the user do that in this namespace",
}


class ClusterError(TaskError):
    """A cluster refused a request; `status` is that of HTTP, or 0 if there was no answer."""

    def __init__(self, where: str, what: str, status: int = 0) -> None:
        super().__init__(f"{where}: {what}", HINTS.get(status, ""))
        self.status, self.reason = status, what


class Cluster:
    """A namespace of a cluster.

    Every request may be sent twice: an apply or a delete does the same again, and what is made has
    a name that only its maker gives.
    """

    def __init__(self, access: Access, namespace: str) -> None:
        self.access, self.namespace = access, namespace
        known = sign_in.credentials(access)
        self._client = connection.connect(access, namespace, known)
        # lightkube has no place for what a kubeconfig may also say, nor for some requests.
        self._http = self._client._client._client
        self._http.auth = connection.signed(access, known)
        # The cluster's time, as its last answer had it.
        self.clock = ""
        self._http.event_hooks = {"response": [self._note]}

    def _note(self, response: Response) -> None:
        self.clock = response.headers.get("Date", self.clock)

    @property
    def name(self) -> str:
        """How messages name it."""
        return f"{self.access.context}/{self.namespace}"

    def get(self, kind: str, name: str) -> Object | None:
        """Return an object; None if there is none."""
        return _unless(MISSING, lambda: self._call(self._client.get, objects.resource(kind), name))

    def list(self, kind: str, labels: Mapping[str, Any]) -> Objects:
        """Return the objects with all labels; None stands for any value."""
        resource = objects.resource(kind)
        return self._call(lambda: [*self._client.list(resource, labels=dict(labels))])

    def apply(self, made: Object, dry: bool = False) -> Object:
        """Create an object, or change its fields that are ours; return it as it is then."""
        options = {"field_manager": MANAGER, "force": True, "dry_run": dry}
        return self._call(partial(self._client.apply, objects.typed(made), **options))

    def create(self, made: Object, dry: bool = False) -> Object | None:
        """Create an object; return None if there is one of that name."""
        options = {"field_manager": MANAGER, "dry_run": dry}
        return _unless(
            CONFLICT, lambda: self._call(self._client.create, objects.typed(made), **options)
        )

    def replace(self, made: Object) -> Object | None:
        """Replace an object; return None if it has been changed, or removed, since it was read."""
        work = partial(self._call, self._client.replace, objects.typed(made), field_manager=MANAGER)
        return _unless(MISSING, lambda: _unless(CONFLICT, work))

    def delete(self, kind: str, name: str) -> None:
        """Delete an object and what belongs to it; do nothing if it is gone."""
        from lightkube.types import CascadeType

        options = {"cascade": CascadeType.BACKGROUND}
        _unless(
            MISSING,
            lambda: self._call(self._client.delete, objects.resource(kind), name, **options),
        )

    def log(self, pod: str, container: str, tail: int = 0, previous: bool = False) -> Lines:
        """Return the lines that a container has logged; previous: before it was restarted."""
        options = {"container": container, "previous": str(previous).lower()}
        options |= {"tailLines": str(tail)} if tail else {}
        path = f"api/v1/namespaces/{self.namespace}/pods/{pod}/log"
        return self._call(lambda: self._text(self._http.get(path, params=options))).splitlines()

    def follow(self, pod: str, container: str, **options: Any) -> Iterator[str]:
        """Yield the lines that a container logs; see lightkube for the options."""
        found = self._client.log(pod, container=container, newlines=False, **options)
        yield from found

    def execute(self, pod: str, container: str, words: Lines) -> str:
        """Return what a command prints in a container. Raises TaskError if it fails."""
        work = partial(self._client.exec, pod, container=container, command=words)
        done = self._call(work, stdout=True, stderr=True, timeout=EXECUTION)
        if done.exit_code:
            raise ClusterError(self.name, f"{pod}: {done.stderr}")
        return str(done.stdout)

    def allowed(self, verb: str, group: str, resource: str, subresource: str = "") -> bool:
        """Return whether this user may do something with all objects of a kind."""
        asked = {"namespace": self.namespace, "verb": verb, "group": group, "resource": resource}
        asked |= {"subresource": subresource} if subresource else {}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        }
        answer = self._call(self._client.create, objects.typed(review))
        return bool(answer["status"]["allowed"])

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @staticmethod
    def _text(response: Response) -> str:
        response.raise_for_status()
        return response.text

    def _call(self, work: Callable[..., Any], *words: Any, **options: Any) -> Any:
        """Send a request, again if its failure may pass; return the answer as dictionaries."""
        import httpx2

        for pause in (*PAUSES, None):
            try:
                return objects.plain(work(*words, **options))
            except httpx2.HTTPStatusError as error:
                status = error.response.status_code
                if pause is None or status not in PASSING:
                    raise ClusterError(self.name, _reason(error), status) from None
            except httpx2.HTTPError as error:
                if pause is None:
                    what = f"no answer from {self.access.cluster.get('server')}: {error}"
                    raise ClusterError(self.name, what) from None
            time.sleep(pause)
        raise AssertionError


def _unless(status: int, work: Callable[[], T]) -> T | None:
    """Return the result of a request; None if it is refused with a status."""
    try:
        return work()
    except ClusterError as error:
        if error.status != status:
            raise
        return None


def _reason(error: Any) -> str:
    """Return what an answer says of a refusal, on one line."""
    return " ".join(str(error).split())
