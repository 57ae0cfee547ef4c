"""The objects of a cluster's namespace, as dictionaries; lightkube makes the requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import console
from . import connection, execution, logs, objects, requests, sign_in
from .execution import Write
from .kubeconfig import Access
from .objects import Object
from .requests import CONFLICT, MISSING, ClusterError, unless

if TYPE_CHECKING:
    from httpx2 import Response

# Named here: inside of the class, `list` is a method.
Objects = list[Object]
Lines = list[str]
# The name that the cluster knows our changes by.
MANAGER = "inv"
# Seconds that a command in a container may take.
EXECUTION = 60


class Cluster:
    """A namespace of a cluster.

    Every request may be sent twice: an apply or a delete does the same again, and what is made has
    a name that only its maker gives.

    Args:
        echo: show changes.
        dry: show them, and have the cluster only check them.
    """

    def __init__(
        self, access: Access, namespace: str, echo: bool = False, dry: bool = False
    ) -> None:
        self.access, self.namespace, self.dry = access, namespace, dry
        self._echo = echo or dry
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
        return unless(MISSING, lambda: self._call(self._client.get, objects.resource(kind), name))

    def list(self, kind: str, labels: Mapping[str, Any]) -> Objects:
        """Return the objects with all labels; None stands for any value."""
        resource = objects.resource(kind)
        return self._call(lambda: [*self._client.list(resource, labels=dict(labels))])

    def apply(self, made: Object, dry: bool = False) -> Object:
        """Create an object, or change its fields that are ours; return it as it is then."""
        options = {**self._change("apply", made, dry), "force": True}
        return self._call(partial(self._client.apply, objects.typed(made), **options))

    def _change(self, verb: str, made: Object, dry: bool = False) -> dict[str, Any]:
        """Show a change if that is wanted; return how it is requested."""
        self._show(f"{verb} {made['kind']} {made['metadata']['name']}", dry)
        return {"field_manager": MANAGER, "dry_run": dry or self.dry}

    def _show(self, what: str, dry: bool = False) -> None:
        if self._echo and not dry:
            console.say(console.colour(f"kubernetes {self.name}: {what}", 1))

    def create(self, made: Object, dry: bool = False) -> Object | None:
        """Create an object; return None if there is one of that name."""
        options = self._change("create", made, dry)
        return unless(
            CONFLICT, lambda: self._call(self._client.create, objects.typed(made), **options)
        )

    def replace(self, made: Object) -> Object | None:
        """Replace an object; return None if it has been changed, or removed, since it was read."""
        options = self._change("replace", made)
        work = partial(self._call, self._client.replace, objects.typed(made), **options)
        return unless(MISSING, lambda: unless(CONFLICT, work))

    def delete(self, kind: str, name: str, grace: int | None = None) -> None:
        """Delete an object and what belongs to it; do nothing if it is gone.

        Args:
            grace: the seconds that a pod has to stop, if not its own.
        """
        from lightkube.types import CascadeType

        self._show(f"delete {kind} {name}")
        options = {"cascade": CascadeType.BACKGROUND, "dry_run": self.dry, "grace_period": grace}
        unless(
            MISSING,
            lambda: self._call(self._client.delete, objects.resource(kind), name, **options),
        )

    def log(self, pod: str, container: str, **options: str) -> Lines:
        """Return the lines that a container has logged; options: those of the API."""
        asked = {"container": container, **options}
        get = partial(self._http.get, self._log(pod), params=asked)
        return self._call(lambda: self._text(get())).splitlines()

    def follow(self, pod: str, container: str, **options: str) -> Iterator[str]:
        """Yield the lines that a container logs, until its pod is gone."""
        return logs.followed(self._http, self._log(pod), {"container": container, **options})

    def _log(self, pod: str) -> str:
        return f"api/v1/namespaces/{self.namespace}/pods/{pod}/log"

    def execute(self, pod: str, container: str, words: Lines, write: Write | None = None) -> str:
        """Return what a command prints in a container. Raises TaskError if it fails.

        Args:
            write: writes what the command reads, which then runs once, however long that takes.
        """
        work = partial(
            self._client.exec, pod, container=container, command=words, stdout=True, stderr=True
        )
        if write:
            self._show(f"exec {pod} {words[-1]}")
            done = requests.once(self.name, execution.fed, work, write)
        else:
            done = self._call(work, timeout=EXECUTION)
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

    def serves(self, group: str) -> bool:
        """Return whether a group of kinds is known, such as metrics.k8s.io/v1beta1."""
        get = partial(self._http.get, f"apis/{group}")
        return unless(MISSING, lambda: self._call(lambda: self._text(get()))) is not None

    def version(self) -> str:
        """Return the cluster's version, such as v1.34.4."""
        return str(self._call(lambda: self._http.get("version").json())["gitVersion"])

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @staticmethod
    def _text(response: Response) -> str:
        response.raise_for_status()
        return response.text

    def _call(self, work: Callable[..., Any], *words: Any, **options: Any) -> Any:
        return requests.call(self.name, self._ready, work, *words, **options)

    def _ready(self) -> bool:
        import httpx2

        try:
            return bool(self._http.get("readyz").is_success)
        except httpx2.HTTPError:
            return False
