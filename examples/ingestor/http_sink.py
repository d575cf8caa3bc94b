"""HttpWriter: writes line protocol to InfluxDB 1.x or VictoriaMetrics by POST /write.

InfluxDB answers 204 if it stored all points, 400 with a reason if it rejected some or all, and 404 if the database is
missing. VictoriaMetrics answers 400 and rejects the whole request if it cannot parse a line (with Stream-Mode it skips
such lines and answers 204), and stores text as 0; its 204 means only that it accepted the request.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from http import HTTPStatus

import aiohttp

from examples.ingestor.connection import Backoff
from examples.ingestor.line_protocol import Point
from examples.ingestor.sink import Answer, WriteFailedError
from examples.ingestor.urls import Address
from otel_ha import measured
from otel_ha.vocabulary import ingest

DROPPED = re.compile(r"dropped=(\d+)")
UNREADABLE = "unable to parse '"
BACKOFF = Backoff(first=0.5, limit=30.0)


class TryAgainError(Exception):
    """A write failed, but a later attempt may succeed."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


class HttpWriter:
    """Writes batches over HTTP, and retries with growing delays if a later attempt may succeed.

    InfluxDB stores a batch once even if it receives it twice: a point replaces one with the same tags and timestamp.
    """

    def __init__(
        self,
        name: str,
        address: Address,
        database: str,
        *,
        retries: int,
        timeout: float,
        backoff: Backoff = BACKOFF,
    ) -> None:
        self.name = name
        self._address = address
        self._parameters = {"precision": "ns"} | ({"db": database} if database else {})
        self._retries = retries
        self._backoff = backoff
        user = None if address.user is None else aiohttp.BasicAuth(address.user, address.password or "")
        self._http = aiohttp.ClientSession(auth=user, timeout=aiohttp.ClientTimeout(timeout))

    async def write(self, points: Sequence[Point]) -> Answer:
        """Write the points, with up to `retries` further attempts."""
        body = "\n".join(point.line for point in points).encode()
        failures = 0
        while True:
            try:
                return await self._post(body, len(points))
            except TryAgainError as failed:
                failures += 1
                if failures > self._retries:
                    raise WriteFailedError(failed.error_type, f"{self._address}: {failed}") from failed
            ingest.RETRIES.add(1, component=self.name, operation="write")
            await asyncio.sleep(self._backoff.delay(failures))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _post(self, body: bytes, count: int) -> Answer:
        """Send a batch once; raise TryAgainError if a later attempt may succeed."""
        no_answer: TryAgainError | None = None
        with measured(
            ingest.WRITE, system=self.name, operation="write", server_address=self._address.host
        ) as measurement:
            try:
                status, text = await self._request(body)
            except TryAgainError as failed:
                no_answer = failed  # raised below: here it would replace its cause as the recorded error type
                measurement.fail(failed.error_type)
            else:
                if status >= HTTPStatus.BAD_REQUEST:
                    measurement.fail(str(status))
        if no_answer is not None:
            raise no_answer
        ingest.DATA_SENT.add(len(body), sink=self.name, type="line_protocol")
        return judge(status, text, count)

    async def _request(self, body: bytes) -> tuple[int, str]:
        try:
            async with self._http.post(f"{self._address}/write", params=self._parameters, data=body) as response:
                return response.status, await response.text(errors="replace")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise TryAgainError(type(error).__name__, f"no answer ({error or repr(error)})") from error


def judge(status: int, text: str, count: int) -> Answer:
    """Return the answer to a batch of `count` points; raise TryAgainError if a later attempt may succeed."""
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return Answer()
    message = error_in(text)
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise TryAgainError(str(status), f"HTTP {status} {message}")
    if status == HTTPStatus.BAD_REQUEST and message.startswith("partial write"):
        return Answer(rejected(message, count), "partial_write", message)
    if status == HTTPStatus.NOT_FOUND and "database not found" in message:
        message += "; create it, or choose another one with --influxdb-database"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        message += "; check the user and password in the URL"
    return Answer(count, str(status), f"HTTP {status} {message}")


def rejected(message: str, count: int) -> int:
    """Return how many of `count` points a partial write rejected.

    InfluxDB 1.x reports dropped=N for points whose types conflict with stored ones. For lines that it cannot parse it
    reports dropped=0 and lists them.
    """
    dropped = sum(map(int, DROPPED.findall(message)))
    return min(count, dropped + message.count(UNREADABLE) or 1)


def error_in(text: str) -> str:
    """Return the error in the body of an answer, in one line."""
    try:
        message = str(json.loads(text)["error"])
    except (ValueError, TypeError, KeyError):
        message = text
    return " ".join(message.split())
