"""The kinds of values in invoke.yaml, each with its pattern and a text that says what is right."""

import re
from typing import Annotated, Literal

from msgspec import Meta, Struct

Port = Annotated[int, Meta(ge=1, le=65535)]
Address = Annotated[str, Meta(pattern=r"^https?://\S+$", description="http(s)://HOST")]
# A dynamic environment's URL has a value's name in braces.
SITE = r"^https?://([\w.{}-]+|\[[0-9A-Fa-f:.]+\])(:([0-9]+|\{\w+\}))?/?$"
Site = Annotated[str, Meta(pattern=SITE, description="http(s)://HOST or http(s)://HOST:PORT")]
# HOST[:PORT]/PATH. A host has a dot or a port, or is localhost.
IMAGE = (
    r"^((localhost|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+)(:[0-9]+)?|[A-Za-z0-9-]+:[0-9]+)"
    r"(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)+$"
)
WORDS = "a-z, 0-9 and single hyphens"
Name = Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40, description=WORDS)]
# A name that ends in /* stands for dynamic environments: review/* for each review/NAME.
MANY = "/*"
EnvironmentName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]+(-[a-z0-9]+)*(/\*)?$", max_length=40,
        description=f"{WORDS}, and /* at the end of a dynamic one's",
    ),
]  # fmt: skip
DYNAMIC_NAME = re.compile(r"[a-z0-9]+(-+[a-z0-9]+)*")
# [USER@]HOST[:PORT]. A host may be an alias of ~/.ssh/config, or an IPv6 address.
HOST = r"^([^@\s:-][^\s:]*@)?((\w[\w.-]*|\[[\w:.%]+\])(:[0-9]+)?|[\w.%]*:[\w.%]*:[\w:.%]*)$"
Host = Annotated[
    str, Meta(pattern=HOST, description="USER@HOST, USER@HOST:PORT or USER@[IPv6]:PORT")
]
Variable = Annotated[
    str, Meta(pattern=r"^[A-Z][A-Z0-9_]*$", description="A-Z, 0-9 and _, a letter first")
]
Kind = Literal["swarm", "compose", "kubernetes"]
Seconds = Annotated[int, Meta(ge=1, le=86400)]
# A module with dots, also one that may be empty, and one with a name in it.
Module = Annotated[
    str, Meta(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$", description="a module: shop.settings")
]
OptionalModule = Annotated[
    str, Meta(pattern=r"^([A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?$", description="a module, or empty")
]
Callable = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$",
        description="MODULE:NAME, such as shop.wsgi:application",
    ),
]
# A path below a folder: neither absolute nor up and out of it.
Below = Annotated[
    str,
    Meta(
        pattern=r"^(\.|[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*)$",
        description="a path below the repository's root, with A-Z, a-z, 0-9, _, ., / and -",
    ),
]
OptionalBelow = Annotated[
    str,
    Meta(
        pattern=r"^(\.|[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*)?$",
        description="a path below the repository's root, or empty",
    ),
]
UrlPath = Annotated[str, Meta(pattern=r"^/[\w./~-]*$", description="a path of the site: /livez")]
Probe = Annotated[str, Meta(pattern=r"^(/[\w./~-]*)?$", description="a path of the site, or empty")]


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of invoke.yaml; only a key with a default is optional, and unknown keys are errors."""
