"""Receivers of notifications, as Alertmanager knows them: an entry of RECEIVERS each.

All receivers get the same title and text. A secret, such as a password or a URL that lets anyone write, is read from a
file of its own, whose name is the receiver's and the secret's: slack-url.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

from otel_ha.errors import TelemetryError

__all__ = ["RECEIVERS", "TEXT", "TITLE", "Receiver", "Secret"]

_PAGE_OR_ELSE: Final = '{{ if and (eq .Status "firing") (eq .CommonLabels.severity "page") }}%s{{ else }}%s{{ end }}'

# "-}}" removes the line break that follows. An alert of another origin may lack a summary, a severity or a job.
TITLE: Final = """\
{{ if eq .Status "resolved" }}Resolved: {{ end -}}
{{ if eq (len .Alerts) 1 -}}
{{ range .Alerts }}{{ or .Annotations.summary .Labels.alertname }}{{ end -}}
{{ else -}}
{{ with .CommonLabels.job }}{{ . }}: {{ end -}}
{{ if eq .Status "firing" }}{{ len .Alerts.Firing }} firing{{ else }}{{ len .Alerts }} alerts{{ end -}}
{{ end }}"""
"""One line: the alert's summary, or the job and the number of its alerts."""

TEXT: Final = """\
{{ range .Alerts.Firing -}}
{{ with .Labels.severity }}{{ . }}: {{ end }}{{ or .Annotations.summary .Labels.alertname }}
{{ with .Annotations.description }}{{ . }}
{{ end }}{{ with or .Annotations.runbook_url .Annotations.runbook }}Runbook: {{ . }}
{{ end }}
{{ end -}}
{{ range .Alerts.Resolved -}}
Resolved: {{ or .Annotations.summary .Labels.alertname }}
{{ end }}"""
"""Each alert that fires, with its severity, description and runbook, then each that is resolved."""


_SLACK: Final = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"))
"""Slack takes <!channel> for a call and <URL|text> for a link."""

_DISCORD: Final = ((r"([\\\\*~|`\\[\\]<>])", r"\\$1"),)
"""Discord takes these characters for Markdown. Underscores stay: names and addresses have them within words."""


def _escaped(template: str, replacements: Iterable[tuple[str, str]]) -> str:
    """Return the template with texts of alerts that a receiver does not take for markup.

    A replacement is a regular expression and what takes its place, both as Go writes a string.
    """
    filters = "".join(f' | reReplaceAll "{pattern}" "{by}"' for pattern, by in replacements)
    return re.sub(r"\{\{ ((?:or )?\.[^{}]*?) \}\}", lambda found: f"{{{{ {found[1]}{filters} }}}}", template)


class Secret(NamedTuple):
    """A secret of a receiver: the last part of its file's name, its key in the configuration, and how to get it."""

    name: str
    key: str
    about: str


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver: its list in the configuration, and the content of its entry.

    `choose` turns the values of --set into further settings and secrets. A resolved alert is always sent as well.
    """

    configs: str
    secrets: tuple[Secret, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    choose: Callable[[Mapping[str, str]], tuple[Mapping[str, Any], tuple[Secret, ...]]] = lambda _: ({}, ())

    def entry(self, name: str, folder: str, values: Mapping[str, str]) -> dict[str, Any]:
        """Return the entry of the receiver with this name, whose secrets are files of the folder."""
        chosen, more = self.choose(values)
        files = {secret.key: _path(folder, name, secret) for secret in (*self.secrets, *more)}
        return {**files, **chosen, **self.settings, "send_resolved": True}

    def files(self, name: str, folder: str, values: Mapping[str, str]) -> dict[str, str]:
        """Return the content of each secret's file, in words, by its path."""
        secrets = (*self.secrets, *self.choose(values)[1])
        return {_path(folder, name, secret): secret.about for secret in secrets}


def _path(folder: str, receiver: str, secret: Secret) -> str:
    return str(PurePosixPath(folder) / f"{receiver}-{secret.name}")


def _mail(values: Mapping[str, str]) -> tuple[Mapping[str, Any], tuple[Secret, ...]]:
    for name, example in (("email_to", "you@example.org"), ("email_server", "smtp.example.org:587")):
        if not values[name]:
            raise TelemetryError(f"--to email needs {name}; add --set {name}={example}")
    server = {
        "smarthost": values["email_server"],
        "from": values["email_from"] or values["email_to"],
        "to": values["email_to"],
        "require_tls": values["email_tls"] == "on",
    }
    if not values["email_user"]:
        return server, ()
    password = Secret("password", "auth_password_file", "the password of email_user at the mail server")
    return {**server, "auth_username": values["email_user"]}, (password,)


def _webhook(url: str) -> Receiver:
    return Receiver("webhook_configs", (Secret("url", "url_file", url),))


RECEIVERS: Final[Mapping[str, Receiver]] = {
    "home-assistant": _webhook("http://HOST:8123/api/webhook/ID, with the webhook ID of the automation"),
    "email": Receiver(
        "email_configs",
        # Without html, Alertmanager adds a page that lists all labels.
        settings={"headers": {"Subject": TITLE}, "html": "", "text": TEXT},
        choose=_mail,
    ),
    "slack": Receiver(
        "slack_configs",
        (Secret("url", "api_url_file", "the URL of an incoming webhook of Slack"),),
        {
            "title": _escaped(TITLE, _SLACK),
            "text": _escaped(TEXT, _SLACK),
            "fallback": _escaped(TITLE, _SLACK),
            # Not the text, whose names may have underscores. An empty list would mean all fields.
            "mrkdwn_in": ["pretext"],
        },
    ),
    "discord": Receiver(
        "discord_configs",
        (Secret("url", "webhook_url_file", "the URL of a webhook of the Discord channel"),),
        # The title has no markup.
        {"title": TITLE, "message": _escaped(TEXT, _DISCORD)},
    ),
    "telegram": Receiver(
        "telegram_configs",
        (
            Secret("token", "bot_token_file", "the token of the bot"),
            Secret("chat-id", "chat_id_file", "the number of the chat"),
        ),
        # Alertmanager shortens plain text that is too long for Telegram; in place of long HTML it sends an error.
        {"message": f"{TITLE}\n\n{TEXT}", "parse_mode": ""},
    ),
    "ntfy": _webhook("the URL of the topic: https://ntfy.sh/TOPIC?template=alertmanager"),
    "pushover": Receiver(
        "pushover_configs",
        (
            Secret("user-key", "user_key_file", "the key of the user or group"),
            Secret("token", "token_file", "the token of the application"),
        ),
        # High priority sounds in quiet hours as well.
        {"title": TITLE, "message": TEXT, "priority": _PAGE_OR_ELSE % (1, 0)},
    ),
    "pagerduty": Receiver(
        "pagerduty_configs",
        (Secret("routing-key", "routing_key_file", "the integration key of the service, for Events API v2"),),
        {
            "description": TITLE,
            "severity": _PAGE_OR_ELSE % ("critical", "warning"),
            "details": {"alerts": TEXT},
        },
    ),
    "webhook": _webhook("the URL to post to"),
    "dead-man": _webhook("the URL that the monitor expects to be called"),
}
"""The receivers by their names."""
