"""Where notifications arrive: a webhook, Slack's incoming webhook, and a mail server."""

from __future__ import annotations

import email
import email.policy
import html
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.receivers import Receiver, answer, receiving
from tests.servers.running import HOST, free_ports


@dataclass
class Inboxes:
    """The texts that have arrived, and the settings that make Alertmanager send them here."""

    http: Receiver
    mail_port: int
    mails: list[str] = field(default_factory=list)

    to = ("webhook", "slack", "email")

    @property
    def settings(self) -> Mapping[str, str]:
        """The values for `render alertmanager --set`."""
        server = f"{HOST}:{self.mail_port}"
        return {"email_to": "you@example.org", "email_server": server, "email_tls": "off"}

    def write_secrets(self, folder: Path) -> None:
        """Write the files of `render alertmanager --secrets`."""
        for name in ("webhook", "slack"):
            (folder / f"{name}-url").write_text(f"{self.http.url}/{name}\n")

    def texts(self) -> Mapping[str, list[str]]:
        """The messages so far, as a reader sees them: a line with the title, then the text."""
        return {
            "webhook": [_of_webhook(body) for body in self._bodies("/webhook")],
            "slack": [_of_slack(body) for body in self._bodies("/slack")],
            "email": list(self.mails),
        }

    def _bodies(self, target: str) -> list[Any]:
        return [json.loads(request.body) for request in list(self.http.requests) if request.target == target]

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep a mail."""
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        body = message.get_body(("plain",))
        text = body.get_content() if body else ""
        self.mails.append(f"{message['Subject']}\n{text}".replace("\r\n", "\n"))
        return "250 OK"


def _of_webhook(body: Any) -> str:
    lines = [body["status"]]
    for alert in body["alerts"]:
        resolved = "Resolved: " if alert["status"] == "resolved" else ""
        lines += [f"{resolved}{alert['annotations']['summary']}", *alert["annotations"].values()]
    return "\n".join(lines)


def _of_slack(body: Any) -> str:
    (attachment,) = body["attachments"]
    # As Slack shows it.
    return html.unescape(f"{attachment['title']}\n{attachment['text']}")


@contextmanager
def inboxes(authority: trustme.CA | None = None, password: str = "") -> Iterator[Inboxes]:
    """Open the inboxes. With an authority, the mail server insists on encryption and on the password."""
    [port] = free_ports(1)
    options: dict[str, Any] = {}
    if authority is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(HOST).configure_cert(context)

        def authenticated(*given: Any) -> AuthResult:
            return AuthResult(success=given[-1].password == password.encode())

        options = {"tls_context": context, "auth_required": True, "authenticator": authenticated}
        # aiosmtpd asks for the user in words of its own, which Alertmanager does not know.
        options["auth_exclude_mechanism"] = ["LOGIN"]
    with receiving(answer(body=b"ok")) as http:
        opened = Inboxes(http, port)
        mail = Controller(opened, hostname=HOST, port=port, **options)
        mail.start()
        try:
            yield opened
        finally:
            mail.stop()
