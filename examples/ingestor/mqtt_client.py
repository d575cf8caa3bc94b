"""Client: aiomqtt's client, made safe against messages that it cannot represent.

Without this, a message whose topic is not UTF-8 would be read again and again and end all reading, because the
libraries take it from their buffer only after it has been handled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiomqtt


class Client(aiomqtt.Client):
    """A client that calls `unreadable` with the size of a message whose topic is invalid, and continues.

    It uses private names of aiomqtt: no other place has such messages, or the reason that a connection has ended.
    """

    def __init__(self, *arguments: Any, unreadable: Callable[[int], None], **options: Any) -> None:
        self._unreadable = unreadable
        super().__init__(*arguments, **options)

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        try:
            super()._on_message(client, userdata, message)
        except ValueError:  # not UTF-8, empty, or with a wildcard
            self._unreadable(len(message.payload))

    async def __aexit__(self, *exception: Any) -> None:  # noqa: PYI036 - passed on
        """Disconnect. The end of the connection is known already, so asyncio must not log it again."""
        try:
            await super().__aexit__(*exception)
        finally:
            if self._disconnected.done() and not self._disconnected.cancelled():
                self._disconnected.exception()
