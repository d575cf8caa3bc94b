"""Home Assistant, with one user and as many phones as the test registers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from tests.servers.running import HOST, Server, eventually, free_ports, get, post

_CLIENT = "http://127.0.0.1/"
_CONFIGURATION = """\
homeassistant: {{name: Test, latitude: 0, longitude: 0, elevation: 0, time_zone: UTC, country: NL, currency: EUR}}
http: {{server_host: {host}, server_port: {port}}}
config:
mobile_app:
automation: !include automations.yaml
"""


class HomeAssistant(Server):
    """Takes commands by its WebSocket API, as its pages do."""

    name = "home-assistant"

    def __init__(self, program: Path, directory: Path) -> None:
        super().__init__(program, directory)
        [port] = free_ports(1)
        self.url = f"http://{HOST}:{port}"
        self.token = ""
        configuration = _CONFIGURATION.format(host=HOST, port=port)
        (directory / "configuration.yaml").write_text(configuration, encoding="utf-8")
        (directory / "automations.yaml").write_text("[]", encoding="utf-8")

    def webhook_url(self, webhook_id: str) -> str:
        """The URL that triggers the automations with this webhook ID."""
        return f"{self.url}/api/webhook/{webhook_id}"

    def create_user(self) -> None:
        """Answer the first question after an installation, which creates the owner."""
        owner = {"name": "Test", "username": "test", "password": "test", "client_id": _CLIENT, "language": "en"}
        code = self.request("/api/onboarding/users", owner)["auth_code"]
        answer = post(f"{self.url}/auth/token", f"grant_type=authorization_code&code={code}&client_id={_CLIENT}")
        self.token = json.loads(answer)["access_token"]

    def register_phone(self, name: str, push_url: str) -> None:
        """Register a companion app, whose notifications are posted to the URL; its action is notify.mobile_app_NAME."""
        app = {"app_id": "test", "app_name": "Test", "app_version": "1", "manufacturer": "Test", "model": "Test"}
        device = {"device_name": name, "device_id": name, "os_name": "Test", "os_version": "1"}
        registration = {**app, **device, "supports_encryption": False}
        registration["app_data"] = {"push_url": push_url, "push_token": "test"}
        self.request("/api/mobile_app/registrations", registration)
        eventually(lambda: f"mobile_app_{name}" in self.ask(type="get_services")["notify"])

    def request(self, path: str, body: Any) -> Any:
        """Post to the REST API and return the answer."""
        url = f"{self.url}{path}"
        return json.loads(post(url, json.dumps(body), "application/json", Authorization=f"Bearer {self.token}"))

    def ask(self, **command: Any) -> Any:
        """Send one command by WebSocket and return its result. Not for use in an event loop."""
        return asyncio.run(self._ask(command))

    async def _ask(self, command: Mapping[str, Any]) -> Any:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{self.url}/api/websocket") as socket:
            await socket.receive_json()
            await socket.send_json({"type": "auth", "access_token": self.token})
            await socket.receive_json()
            await socket.send_json({"id": 1, **command})
            answer = await socket.receive_json()
        assert answer["success"], answer["error"]
        return answer["result"]

    def command(self) -> Sequence[str | Path]:
        """Without installing packages while it runs."""
        return [self.program, "--config", self.directory, "--skip-pip"]

    def ready(self) -> bool:
        """The pages for the first user are the last that the test needs."""
        return bool(get(f"{self.url}/api/onboarding"))
