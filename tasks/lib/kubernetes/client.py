"""The objects of a cluster's namespace, as dictionaries; lightkube makes the requests."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import TaskError
from . import sign_in
from .kubeconfig import Access

if TYPE_CHECKING:
    from httpx2 import Request, Response
    from lightkube import Client

T = TypeVar("T")
Object = dict[str, Any]
# Named here: inside of the class, `list` is a method.
Objects = list[Object]
Lines = list[str]
# The name that the cluster knows our changes by.
MANAGER = "inv"
# Seconds that a request may take, and the pauses before it is sent again: each of ours may be.
TIMEOUT = 20
PAUSES = (0.2, 0.5, 1, 2, 4)
PASSING = {429, 500, 502, 503, 504}
MISSING, CONFLICT, DENIED, UNKNOWN = 404, 409, 403, 401
# Where lightkube has each kind.
MODULES = {
    "apps_v1": ("Deployment", "ReplicaSet", "StatefulSet"),
    "authorization_v1": ("SelfSubjectAccessReview",),
    "batch_v1": ("Job",),
    "coordination_v1": ("Lease",),
    "core_v1": (
        *("ConfigMap", "Event", "Namespace", "Node", "PersistentVolumeClaim", "Pod"),
        *("ResourceQuota", "Secret", "Service", "ServiceAccount"),
    ),
    "networking_v1": ("Ingress", "NetworkPolicy"),
    "policy_v1": ("PodDisruptionBudget",),
}
HINTS = {
    UNKNOWN: "sign in again, or renew the token or the certificate of the kubeconfig",
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
        self._client = _connect(access, namespace, known)
        # lightkube has no place for what a kubeconfig may also say, nor for some requests.
        self._http = self._client._client._client
        self._http.auth = _signed(access, known)

    @property
    def name(self) -> str:
        """How messages name it."""
        return f"{self.access.context}/{self.namespace}"

    def get(self, kind: str, name: str) -> Object | None:
        """Return an object; None if there is none."""
        return _unless(MISSING, lambda: self._call(self._client.get, _resource(kind), name))

    def list(self, kind: str, labels: Mapping[str, Any]) -> Objects:
        """Return the objects with all labels; None stands for any value."""
        resource = _resource(kind)
        return self._call(lambda: [*self._client.list(resource, labels=dict(labels))])

    def apply(self, made: Object, dry: bool = False) -> Object:
        """Create an object, or change its fields that are ours; return it as it is then."""
        options = {"field_manager": MANAGER, "force": True, "dry_run": dry}
        return self._call(partial(self._client.apply, _typed(made), **options))

    def create(self, made: Object, dry: bool = False) -> Object | None:
        """Create an object; return None if there is one of that name."""
        options = {"field_manager": MANAGER, "dry_run": dry}
        return _unless(CONFLICT, lambda: self._call(self._client.create, _typed(made), **options))

    def replace(self, made: Object) -> Object | None:
        """Replace an object; return None if it has been changed, or removed, since it was read."""
        work = partial(self._call, self._client.replace, _typed(made), field_manager=MANAGER)
        return _unless(MISSING, lambda: _unless(CONFLICT, work))

    def delete(self, kind: str, name: str) -> None:
        """Delete an object and what belongs to it; do nothing if it is gone."""
        from lightkube.types import CascadeType

        options = {"cascade": CascadeType.BACKGROUND}
        _unless(MISSING, lambda: self._call(self._client.delete, _resource(kind), name, **options))

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

    def allowed(self, verb: str, group: str, resource: str, subresource: str = "") -> bool:
        """Return whether this user may do something with all objects of a kind."""
        asked = {"namespace": self.namespace, "verb": verb, "group": group, "resource": resource}
        asked |= {"subresource": subresource} if subresource else {}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        }
        answer = self._call(self._client.create, _typed(review))
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
                return _plain(work(*words, **options))
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


def _connect(access: Access, namespace: str, known: Object) -> Client:
    import httpx2
    from lightkube import Client
    from lightkube.config.kubeconfig import SingleConfig
    from lightkube.config.models import Cluster as ClusterModel
    from lightkube.config.models import Context, User
    from msgspec import convert

    config = SingleConfig(
        access.context,
        Context(cluster="", namespace=namespace),
        convert(access.cluster, ClusterModel),
        convert(_encoded(known), User),
        access.folder / "config",
    )
    return Client(config, timeout=httpx2.Timeout(TIMEOUT), proxy=access.proxy)


def _encoded(user: Mapping[str, Any]) -> Object:
    """Return a user as a kubeconfig has it: a program gives its certificate as it is."""
    names = ("client-certificate-data", "client-key-data")
    bare = {name: user[name] for name in names if str(user.get(name)).startswith("-----")}
    return {**user, **{name: b64encode(text.encode()).decode() for name, text in bare.items()}}


def _signed(access: Access, known: Object) -> Any:
    """Return what signs each request, and signs in again when a token has run out."""
    import httpx2

    class Signed(httpx2.Auth):
        def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
            if access.server_name:
                request.extensions["sni_hostname"] = access.server_name
            if token := _token(access, known):
                request.headers["Authorization"] = f"Bearer {token}"
            response = yield request
            if response.status_code == UNKNOWN and token and access.user.get("exec"):
                known.update(sign_in.credentials(access))
                request.headers["Authorization"] = f"Bearer {known['token']}"
                yield request

    return Signed()


def _token(access: Access, known: Object) -> str:
    """Return the token; a file's may have been changed since the last request."""
    if file := known.get("tokenFile"):
        return (access.folder / file).read_text("utf-8").strip()
    return str(known.get("token") or "")


def _resource(kind: str) -> Any:
    from importlib import import_module

    module = next(name for name, kinds in MODULES.items() if kind in kinds)
    return getattr(import_module(f"lightkube.resources.{module}"), kind)


def _typed(made: Object) -> Any:
    from lightkube import codecs

    return codecs.from_dict(made)


def _plain(answer: Any) -> Any:
    """Return an answer as dictionaries; those of a list do not say their kind."""
    if isinstance(answer, list):
        return [_plain(each) for each in answer]
    return answer.to_dict() if hasattr(answer, "to_dict") else answer


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
