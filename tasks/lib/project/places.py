"""Where environments run: on servers with Docker, or in a namespace of a Kubernetes cluster."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from msgspec import Meta

from .fields import MANY, Host, Kind, Section, Site, Variable

KUBERNETES = "kubernetes"
WORDS = "up to 63 of a-z, 0-9 and hyphens"
GATEWAY = r"^([a-z0-9-]+/[a-z0-9.-]+)?$"
UID = r"^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$"
CPU = r"^([1-9]\d*m|\d+(\.\d{1,3})?)$"
Count = Annotated[int, Meta(ge=1, le=1000)]
LABEL = r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$"


class Scaling(Section, frozen=True):
    """How many replicas of a service a cluster may run, by what they have to do.

    Args:
        least: of the replicas, also while they have nothing to do.
        most: of the replicas.
        cpu: how much of a CPU each replica uses on average, such as 500m; more of them share it.
    """

    least: Count
    most: Count
    cpu: Annotated[str, Meta(pattern=CPU, description="a number of CPUs: 0.5 or 500m")]


class Kubernetes(Section, frozen=True):
    """Which cluster an environment runs in, and how requests reach it.

    Args:
        context: of the kubeconfig; the current one is never used.
        cluster: the UID of its namespace kube-system, or of the environment's own, by which it is
            known again.
        namespace: of the environment alone; empty for the stack's name.
        service: the kind of the proxy's Service; auto: ClusterIP behind an Ingress, otherwise
            LoadBalancer.
        port: of every node, for NodePort; 0 for one that the cluster chooses.
        externaltraffic: Local: the node that a request reaches gives it to a proxy of its own,
            which sees the client's address; Cluster: to any proxy.
        ingress: the class of the Ingress in front of the proxy; empty without one.
        wildcard: the controller of the Ingress has a certificate for the host itself, such as one
            for all reviews: the stack names none of its own.
        gateway: NAMESPACE/NAME of the Gateway in front of it instead; empty without one.
        scaling: the services whose number of replicas the cluster chooses.
        prometheus: the namespace of the cluster's Prometheus, whose pods may ask for metrics; empty
            for none.
        podmonitor: labels by which a Prometheus operator finds the PodMonitor that the stack then
            has; empty without one.
    """

    context: str = ""
    cluster: Annotated[str, Meta(pattern=UID, description="the UID of a namespace")] = ""
    namespace: Annotated[str, Meta(pattern=LABEL, description=WORDS)] = ""
    service: Literal["auto", "ClusterIP", "NodePort", "LoadBalancer"] = "auto"
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    externaltraffic: Literal["Cluster", "Local"] = "Cluster"
    ingress: str = ""
    wildcard: bool = False
    gateway: Annotated[str, Meta(pattern=GATEWAY, description="NAMESPACE/NAME, or empty")] = ""
    scaling: dict[str, Scaling] = {}
    prometheus: Annotated[str, Meta(pattern=LABEL, description=WORDS)] = ""
    podmonitor: dict[str, str] = {}


class Environment(Section, frozen=True):
    """What the app is deployed to; the orchestrator runs the containers there."""

    url: Site
    values: dict[Variable, str | int | list[int]]
    hosts: list[Host] = []
    orchestrator: Kind = "swarm"
    kubernetes: Kubernetes = Kubernetes()
    public: bool = True
    protected: bool = False
    admin: Annotated[str, Meta(pattern=r"^([a-z_][a-z0-9_-]*)?$", description="a user's name")] = ""

    @property
    def servers(self) -> list[str]:
        """Its own servers: none if a cluster runs its containers."""
        return [] if self.orchestrator == KUBERNETES else self.hosts

    @property
    def least(self) -> dict[str, int]:
        """How many replicas the services have at least whose number the cluster chooses."""
        chosen = self.kubernetes.scaling if self.orchestrator == KUBERNETES else {}
        return {name: each.least for name, each in chosen.items()}

    @property
    def replicas(self) -> int:
        """How many replicas of the app run; if it is no number, Compose reports that."""
        return int(value) if (value := str(self.values.get("REPLICAS"))).isdecimal() else 2


Problem = tuple[tuple[str, ...], str]


def problems(environments: Mapping[str, Environment], measured: bool = True) -> Iterator[Problem]:
    """Yield what is wrong with the places of environments, by keys of invoke.yaml.

    Args:
        measured: the app serves metrics.
    """
    for name, each in environments.items():
        path = ("environments", name)
        if each.orchestrator == KUBERNETES:
            yield from _of_a_cluster((*path, KUBERNETES), each.kubernetes)
            if not measured:
                yield from _unmeasured((*path, KUBERNETES), each.kubernetes)
        elif not each.hosts:
            yield (*path, "hosts"), "missing - add it; invoke.yaml's comments say what it is"
    yield from _shared(environments)


def _of_a_cluster(path: tuple[str, ...], place: Kubernetes) -> Iterator[Problem]:
    if not place.context:
        yield (*path, "context"), "missing - name a context of your kubeconfig"
    if place.ingress and place.gateway:
        yield (*path, "gateway"), "an Ingress is in front of the proxy - remove one of the two"
    if place.externaltraffic == "Local" and (place.ingress or place.gateway):
        what = "what is in front of the proxy asks it inside of the cluster - remove it"
        yield (*path, "externaltraffic"), what
    for name, each in place.scaling.items():
        if each.least > each.most:
            what = f"{each.least} replicas are more than {each.most}, the most - correct it"
            yield (*path, "scaling", name, "least"), what
    if place.namespace and path[1].endswith(MANY):
        yield (*path, "namespace"), "each of these environments has its own - remove it"


def _unmeasured(path: tuple[str, ...], place: Kubernetes) -> Iterator[Problem]:
    known = {"prometheus": place.prometheus, "podmonitor": place.podmonitor}
    for key in (key for key, given in known.items() if given):
        yield (*path, key), "the app serves no metrics - set monitoring.metrics, or remove it"


def _shared(environments: Mapping[str, Environment]) -> Iterator[Problem]:
    """Yield each namespace that another environment has as well."""
    taken: dict[tuple[str, str], str] = {}
    for name, each in environments.items():
        place = each.kubernetes
        if place.namespace and each.orchestrator == KUBERNETES:
            first = taken.setdefault((place.context, place.namespace), name)
            if first != name:
                what = f"{first} has {place.namespace} - every environment needs its own"
                yield ("environments", name, KUBERNETES, "namespace"), what
