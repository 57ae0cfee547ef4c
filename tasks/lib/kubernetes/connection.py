"""A connection to a cluster: its address, its certificate, and who asks."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

from . import sign_in
from .kubeconfig import Access

if TYPE_CHECKING:
    from httpx2 import Request, Response
    from lightkube import Client

# Seconds that a request may take.
TIMEOUT = 20
# The status of an answer to somebody whom the cluster does not know.
UNKNOWN = 401


def connect(access: Access, namespace: str, known: Mapping[str, Any]) -> Client:
    """Return lightkube's client of a namespace; known: the user's credentials."""
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


def _encoded(user: Mapping[str, Any]) -> dict[str, Any]:
    """Return a user as a kubeconfig has it: a program gives its certificate as it is."""
    names = ("client-certificate-data", "client-key-data")
    bare = {name: user[name] for name in names if str(user.get(name)).startswith("-----")}
    return {**user, **{name: b64encode(text.encode()).decode() for name, text in bare.items()}}


def signed(access: Access, known: dict[str, Any]) -> Any:
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


def _token(access: Access, known: dict[str, Any]) -> str:
    """Return the token; a file's may have been changed since the last request."""
    if file := known.get("tokenFile"):
        return (access.folder / file).read_text("utf-8").strip()
    return str(known.get("token") or "")
