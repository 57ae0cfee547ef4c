"""The section `server` of invoke.yaml: how a bare server is set up, in all environments."""

from typing import Annotated

from msgspec import Meta, Struct

Number = Annotated[int, Meta(ge=1, le=65535)]
Port = Annotated[str, Meta(pattern=r"^[0-9]{1,5}/(tcp|udp)$", description="PORT or PORT/udp")]
SOURCE = "distribution, or the http(s) address of Docker's packages"
Source = Annotated[str, Meta(pattern=r"^(distribution|https?://[\w.:/-]+)$", description=SOURCE)]


class Server(Struct, frozen=True, forbid_unknown_fields=True):
    """Where Docker is installed from, and which ports everybody reaches besides the proxy's."""

    docker: Source = "distribution"
    ports: list[Number | Port] = []
