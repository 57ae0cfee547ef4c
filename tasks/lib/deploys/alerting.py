"""Where alerts go: Alertmanager's configuration, of the receivers that invoke.yaml names."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from .. import console
from ..messages import receivers
from ..project.messages import Mail
from ..project.settings import Settings
from ..redaction import know
from .measured import Json

ALERTMANAGER = "alertmanager"
# Where its secrets are, as files.
FOLDER = "/run/secrets"
# The only port at which it encrypts a connection to a mail server from the start.
SMTPS = 465
TITLE = (
    "[{{ with .CommonLabels.environment }}{{ . }}{{ else }}servers of PROJECT{{ end }}] "
    "{{ if .Alerts.Firing }}{{ .CommonLabels.severity }}{{ else }}cleared{{ end }}: "
    "{{ .CommonLabels.alertname }}"
)
TEXT = """{{ range .Alerts.Firing -}}
{{ .Annotations.summary | QUOTED }}
first: {{ .Annotations.action | QUOTED }}
see {{ .Annotations.runbook }}; since {{ .StartsAt.UTC.Format "2006-01-02 15:04" }} UTC
{{ end }}{{ range .Alerts.Resolved -}}
was: {{ .Annotations.summary | QUOTED }}
{{ end }}"""
# The three characters that Slack wants to be escaped.
ESCAPED = 'reReplaceAll "&" "&amp;" | reReplaceAll "<" "&lt;" | reReplaceAll ">" "&gt;"'
# An alert that is over after a minute, raised from inside of Alertmanager's container.
TRY = "exec amtool alert add {words} --end=$(date -u -d @$(($(date +%s) + 60)) +%Y-%m-%dT%H:%M:%SZ)"
NOTES = {
    "summary": "inv monitor.try raised it to see that alerts arrive",
    "action": "nothing, it is over after a minute",
    "runbook": "docs/monitoring.md#who-gets-alerts",
}


@dataclass(frozen=True)
class Way:
    """A way that alerts take.

    Args:
        kind: chat, mail or webhook.
        said: where to, in words.
        key: the list of a receiver of Alertmanager's that `config` is for.
        secret: the name of its secret, which `config` names as a file.
        value: of that secret; empty if it needs none.
    """

    kind: str
    said: str
    key: str
    config: Json
    secret: str = ""
    value: str = ""


def ways(settings: Settings, env: Mapping[str, str]) -> list[Way]:
    """Return the ways that alerts take; `env` has the password of the mail server."""
    found, title = [], TITLE.replace("PROJECT", settings.project.name)
    if url := settings.messages.slack:
        config = {"title": title, "title_link": "", "text": TEXT.replace("QUOTED", ESCAPED)}
        config |= {"color": "{{ if .Alerts.Firing }}danger{{ else }}good{{ end }}"}
        config |= {"api_url_file": f"{FOLDER}/CHAT_URL"}
        value = know("messages.slack", url)
        found.append(Way("chat", "to the chat", "slack_configs", config, "CHAT_URL", value))
    if mail := settings.messages.mail:
        found += _mail(mail, env.get(receivers.MAIL, ""), title)
    if url := settings.monitoring.webhook:
        config, value = {"url_file": f"{FOLDER}/WEBHOOK_URL"}, know("monitoring.webhook", url)
        said = "to the webhook"
        found.append(Way("webhook", said, "webhook_configs", config, "WEBHOOK_URL", value))
    return found


def _mail(mail: Mail, password: str, title: str) -> list[Way]:
    server = urlsplit(mail.server)
    port, direct = server.port or receivers.PORTS[server.scheme], server.scheme == "smtps"
    if direct and port != SMTPS:
        what = f"alerts are not sent by mail: Alertmanager knows smtps:// at port {SMTPS} alone"
        console.warn(f"{what}, not {port} - name another messages.mail.server")
        return []
    if server.username and not password:
        console.warn(f"alerts are mailed without a login: {receivers.MAIL} is not set")
    password = password if server.username else ""
    config = {
        "to": ", ".join(mail.to),
        "from": mail.sender,
        "smarthost": f"{server.hostname}:{port}",
        # With a password, a server without encryption is refused.
        "require_tls": bool(password) and not direct,
        "headers": {"Subject": title},
        "text": TEXT.replace(" | QUOTED", ""),
        "html": "",
    }
    if password:
        config |= {"auth_username": unquote(server.username or "")}
        config |= {"auth_password_file": f"{FOLDER}/MAIL_PASSWORD"}
    count = len(mail.to)
    said = f"by mail to {count} address{'es' if count > 1 else ''}"
    return [Way("mail", said, "email_configs", config, "MAIL_PASSWORD", password)]


def notifying(base: Mapping[str, Any], given: Iterable[Way]) -> Json:
    """Return Alertmanager's configuration: its default receiver sends alerts these ways, too."""
    default = base["route"]["receiver"]
    found = []
    for receiver in base["receivers"]:
        made = dict(receiver)
        for way in given if receiver["name"] == default else ():
            made[way.key] = [*made.get(way.key, []), {"send_resolved": True, **way.config}]
        found.append(made)
    return {**base, "receivers": found}


def trial(environment: str, port: int = 9093) -> str:
    """Return the script that raises an alert to try where it goes; the port is Alertmanager's."""
    words = [f"--alertmanager.url=http://127.0.0.1:{port}"]
    words += [f"--annotation={key}={json.dumps(each)}" for key, each in NOTES.items()]
    words += ["Test", "severity=critical", f"environment={environment}"]
    return TRY.format(words=shlex.join(words))


def destinations(base: Mapping[str, Any], given: Sequence[Way]) -> str:
    """Return where alerts go, in words; empty if they go nowhere."""
    said = [way.said for way in given]
    if any(key.endswith("_configs") for each in base["receivers"] for key in each):
        said.append("as compose/monitoring/alertmanager.yml says")
    *others, last = said or [""]
    return f"alerts go {', '.join(others)}{' and ' if others else ''}{last}" if last else ""
