"""Where a stack is on a cluster, and how requests reach it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Place:
    """The place of a stack.

    Args:
        namespace: it has this stack, and no other one.
        url: the site's address.
        service: the kind of the Service of our own proxy: LoadBalancer, NodePort, or ClusterIP
            where something of the cluster's is in front of it.
        port: the port of every node, for a NodePort.
        ingress: the class of the Ingress in front of the proxy; empty without one.
    """

    namespace: str
    url: str
    service: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    port: int = 0
    ingress: str = ""

    @property
    def host(self) -> str:
        """The site's host name."""
        return urlsplit(self.url).hostname or ""

    @property
    def encrypted(self) -> bool:
        """Whether the site has HTTPS."""
        return self.url.startswith("https://")
