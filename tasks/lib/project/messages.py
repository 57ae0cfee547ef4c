"""Who receives messages about deploys: the section `messages` of invoke.yaml."""

from typing import Annotated

from msgspec import Meta

from .fields import Section

SMTP = r"^smtps?://([^\s@/:]+@)?[^\s@/:]+(:[0-9]+)?$"
MAIL = r"^[^\s@<>]+@[^\s@<>]+$"
SENTRY = r"^(https?://[^\s/]+/api/0/projects/[^\s/]+/[^\s/]+/?)?$"
MailAddress = Annotated[str, Meta(pattern=MAIL, description="USER@HOST")]
Receiver = Annotated[
    str, Meta(pattern=r"^(https?://\S+)?$", description="http(s)://HOST, or nothing")
]


class Mail(Section, frozen=True):
    """Mail with each message."""

    to: Annotated[list[MailAddress], Meta(min_length=1)]
    sender: MailAddress
    server: Annotated[
        str, Meta(pattern=SMTP, description="smtp://USER@HOST, or smtps://USER@HOST:PORT")
    ]


class Messages(Section, frozen=True):
    """Who receives messages."""

    webhook: Receiver = ""
    slack: Receiver = ""
    gitlab: Receiver = ""
    mail: Mail | None = None
    sentry: Annotated[
        str,
        Meta(pattern=SENTRY, description="https://HOST/api/0/projects/ORGANIZATION/PROJECT"),
    ] = ""
