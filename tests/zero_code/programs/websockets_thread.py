"""A program without an event loop that listens to Home Assistant over websockets, and connects again."""

import contextlib
import json
import sys
import time

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect


def handle(message):
    if message.get("type") == "event" and message["event"]["data"]["entity_id"] == "sensor.bad":
        raise ValueError(message)


def listen():
    with connect(sys.argv[1], max_size=None) as socket:
        socket.recv()
        socket.send(json.dumps({"type": "auth", "access_token": sys.argv[2]}))
        assert json.loads(socket.recv())["type"] == "auth_ok"
        socket.send(json.dumps({"id": 1, "type": "subscribe_events"}))
        for frame in socket:
            content = json.loads(frame)
            for message in content if isinstance(content, list) else [content]:
                handle(message)


while True:
    with contextlib.suppress(OSError, WebSocketException, ValueError):
        listen()
    time.sleep(0.1)
