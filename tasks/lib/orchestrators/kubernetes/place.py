"""Where a stack is on a cluster, and how requests reach it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from ...project.places import Scaling


@dataclass(frozen=True)
class Place:
    """The place of a stack.

    Args:
        namespace: it has this stack, and no other one.
        url: the site's address.
        service: the kind of the Service of our own proxy: LoadBalancer, NodePort, or ClusterIP
            where something of the cluster's is in front of it.
        port: the port of every node, for a NodePort.
        traffic: whether a node gives requests to proxies of its own only.
        ingress: the class of the Ingress in front of the proxy; empty without one.
        gateway: NAMESPACE/NAME of the Gateway in front of it instead; empty without one.
        wildcard: the controller of the Ingress has a certificate for the host itself.
        scaling: the services whose number of replicas the cluster chooses.
        prometheus: the namespace whose pods may ask for metrics; empty for none.
        podmonitor: the labels by which a Prometheus operator finds a PodMonitor; empty without one.
    """

    namespace: str
    url: str
    service: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    port: int = 0
    traffic: Literal["Cluster", "Local"] = "Cluster"
    ingress: str = ""
    gateway: str = ""
    wildcard: bool = False
    scaling: Mapping[str, Scaling] = field(default_factory=dict)
    prometheus: str = ""
    podmonitor: Mapping[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The site's host name."""
        return urlsplit(self.url).hostname or ""

    @property
    def encrypted(self) -> bool:
        """Whether the site has HTTPS."""
        return self.url.startswith("https://")
