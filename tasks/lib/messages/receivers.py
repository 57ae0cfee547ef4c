"""Who receives messages: a signed webhook, a chat, mail."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from ..http_client import HttpClient, cause
from ..project.messages import Mail, Messages
from ..redaction import know
from .message import Message

if TYPE_CHECKING:
    from email.message import EmailMessage

# The variables with the secrets of receivers.
SIGNATURE, MAIL = "MESSAGES_KEY", "SMTP_PASSWORD"
# Seconds to connect, and to wait for an answer.
TIMEOUT = (5, 5)
# The statuses below 500 after which a request may succeed later.
LATER = {408, 425, 429}
JSON = {"Content-Type": "application/json"}
# The ports of smtp://, which is encrypted by STARTTLS, and of smtps://.
PORTS = {"smtp": 587, "smtps": 465}


class UndeliveredError(Exception):
    """A message was not delivered; `again` says whether another attempt can succeed."""

    def __init__(self, why: str, again: bool) -> None:
        super().__init__(why)
        self.again = again


class Receiver(Protocol):
    """Gets messages."""

    # How warnings name it.
    name: str

    def send(self, message: Message) -> None:
        """Deliver a message. Raises UndeliveredError."""


def send(
    client: HttpClient, url: str, body: bytes, headers: Mapping[str, str], method: str = "POST"
) -> bytes:
    """Send JSON, and return the answer. Raises UndeliveredError; a redirect is not followed."""
    from urllib3.exceptions import HTTPError

    try:
        answer = client.send(method, url, body, {**JSON, **headers}, follow=False)
    except HTTPError as error:
        raise UndeliveredError(cause(error), True) from None
    if answer.status >= 300:
        again = answer.status >= 500 or answer.status in LATER
        raise UndeliveredError(f"HTTP status {answer.status}", again)
    return answer.data


class Webhook:
    """An address that gets each message as JSON, signed as standardwebhooks.com says.

    Args:
        key: signs, in base64, with or without whsec_ before it; without one nothing is signed.
    """

    def __init__(self, url: str, key: str) -> None:
        self.name, self._url = "the webhook", know("messages.webhook", url)
        self._key, self._client = key, HttpClient(TIMEOUT)

    def send(self, message: Message) -> None:
        body = json.dumps(message.document()).encode()
        send(self._client, self._url, body, signed(body, self._key))


def signed(body: bytes, key: str) -> dict[str, str]:
    """Return the headers with a body's signature (Standard Webhooks 1.0). Raises UndeliveredError.

    The ID of a message is made of its body: the same message has the same ID each time.
    """
    name = f"msg_{uuid.uuid5(uuid.NAMESPACE_OID, body.decode()).hex}"
    moment = str(int(time.time()))
    headers = {"webhook-id": name, "webhook-timestamp": moment}
    if not key:
        return headers
    try:
        secret = b64decode(key.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise UndeliveredError(f"{SIGNATURE} is not base64", False) from None
    content = b".".join((name.encode(), moment.encode(), body))
    digest = b64encode(hmac.digest(secret, content, hashlib.sha256)).decode()
    return headers | {"webhook-signature": f"v1,{digest}"}


class Slack:
    """An incoming webhook of Slack, or of a chat that takes the same, such as Mattermost."""

    def __init__(self, url: str) -> None:
        self.name, self._url = "the chat", know("messages.slack", url)
        self._client = HttpClient(TIMEOUT)

    def send(self, message: Message) -> None:
        # The three characters that Slack wants to be escaped.
        text = message.text().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        body = json.dumps({"text": text}).encode()
        send(self._client, self._url, body, {})


class Mailbox:
    """Mail to some addresses, through an SMTP server."""

    def __init__(self, mail: Mail, password: str) -> None:
        self.name, self._mail = "the mail", mail
        self._password = password

    def send(self, message: Message) -> None:
        import smtplib
        from email.message import EmailMessage

        letter = EmailMessage()
        letter["From"], letter["To"] = self._mail.sender, ", ".join(self._mail.to)
        letter["Subject"] = f"[{message.environment}] {message.kind} {message.event}"
        letter.set_content(f"{message.text()}\n\n{message.url}\n{message.at}\n")
        try:
            self._deliver(letter)
        except smtplib.SMTPResponseException as error:
            raise UndeliveredError(
                f"SMTP status {error.smtp_code}", error.smtp_code < 500
            ) from None
        except (smtplib.SMTPException, OSError) as error:
            raise UndeliveredError(cause(error), True) from None

    def _deliver(self, letter: EmailMessage) -> None:
        import smtplib
        import ssl

        server, context = urlsplit(self._mail.server), ssl.create_default_context()
        host, port = server.hostname or "", server.port or PORTS[server.scheme]
        direct = server.scheme == "smtps"
        with (
            smtplib.SMTP_SSL(host, port, timeout=TIMEOUT[1], context=context)
            if direct
            else smtplib.SMTP(host, port, timeout=TIMEOUT[1])
        ) as connection:
            connection.ehlo()
            if not direct and (connection.has_extn("starttls") or self._password):
                # With a password, a server without encryption is refused.
                connection.starttls(context=context)
            if server.username and self._password:
                connection.login(unquote(server.username), self._password)
            connection.send_message(letter)


def named(settings: Messages, env: Mapping[str, str]) -> list[Receiver]:
    """Return the receivers that the settings name; their secrets are variables."""
    found: list[Receiver] = []
    if settings.webhook:
        found.append(Webhook(settings.webhook, env.get(SIGNATURE, "")))
    if settings.slack:
        found.append(Slack(settings.slack))
    if settings.mail:
        found.append(Mailbox(settings.mail, env.get(MAIL, "")))
    return found
