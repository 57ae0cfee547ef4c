"""How the data of environments is backed up: the section `backup` of invoke.yaml."""

from typing import Annotated

from msgspec import Meta

from .fields import Seconds, Section


class Backup(Section, frozen=True):
    """How the data is backed up, by a service on the servers."""

    every: Annotated[int, Meta(ge=0, le=168)] = 0
    pitr: bool = False
    keep: Annotated[int, Meta(ge=1, le=1000)] = 7
    days: Annotated[int, Meta(ge=0, le=3650)] = 30
    storage: Annotated[
        str, Meta(pattern=r"^(s3://[a-z0-9][a-z0-9./_-]*)?$", description="s3://BUCKET/PATH")
    ] = ""
    endpoint: Annotated[
        str, Meta(pattern=r"^(https?://\S+)?$", description="http(s)://HOST, or nothing for AWS")
    ] = ""
    region: str = ""
    scrub: str = ""
    columns: str = ""
    timeout: Seconds = 21600
