"""HttpWriter: writes line protocol to InfluxDB 1.x or VictoriaMetrics by POST /write.

Only 204 means that points are stored. InfluxDB answers 400 with a reason in JSON if it rejected some or all points, and
404 if the database is missing. VictoriaMetrics answers 400, names the line, and rejects the whole request if it cannot
parse a line (with Stream-Mode it skips such lines and answers 204), and stores text as 0. Its 204 means that the points
are in its memory; they reach the disk within five seconds. Points older than its retention, or two days ahead, are
missing nevertheless. Any other 400 is about the request, not the points: a proxy has no route, or wants TLS.
"""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from examples.ingestor.line_protocol import Point
from examples.ingestor.outage import UnavailableError
from examples.ingestor.sink import Answer
from examples.ingestor.urls import Address
from otel_ha import measured
from otel_ha.vocabulary import ingest

DROPPED = re.compile(r"dropped=(\d+)")
UNREADABLE = "unable to parse '"
LONGEST_MESSAGE = 300
TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
DATA_AT_FAULT = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})
"""The same points would be rejected again, if the store itself says so. Any other error may pass or be corrected."""
INCORRECT_LINE = 'incorrect influx line "'
TOO_BIG = "too big data size"
"""The beginnings of VictoriaMetrics' errors about a line, and about a longer request than -influx.maxRequestSize."""
NO_DATABASE = "database is required"
DATABASE_REMEDIES = {
    NO_DATABASE: "; choose one with --influxdb-database",
    "database not found": "; create it, or choose another one with --influxdb-database",
}
REMEDIES: dict[int, str] = {
    **dict.fromkeys((401, 403), "; check the user and password in the URL"),
    **dict.fromkeys(DATA_AT_FAULT, "; this is not about the points; check that the address is the store's"),
}


class HttpWriter:
    """Writes batches over HTTP. It follows no redirect, because that would turn the POST into a GET without points.

    A batch whose answer gets lost is sent again. InfluxDB stores it once nevertheless: a point replaces one with the
    same tags and timestamp. VictoriaMetrics keeps the same samples twice, unless it de-duplicates them.
    """

    def __init__(self, name: str, address: Address, database: str, *, timeout: float) -> None:
        self.name = name
        self._address = address
        self._parameters = {"precision": "ns"} | ({"db": database} if database else {})
        user = None if address.user is None else aiohttp.BasicAuth(address.user, address.password or "")
        self._http = aiohttp.ClientSession(auth=user, timeout=aiohttp.ClientTimeout(timeout))

    async def write(self, points: Sequence[Point]) -> Answer:
        """Send the points once; raise UnavailableError if the store does not take them now."""
        body = "\n".join(point.line for point in points).encode()
        no_answer: UnavailableError | None = None
        with measured(
            ingest.WRITE, system=self.name, operation="write", server_address=self._address.host
        ) as measurement:
            try:
                status, text, location = await self._request(body)
            except UnavailableError as failed:
                no_answer = failed  # raised below: here it would replace its cause as the recorded error type
                measurement.fail(failed.error_type)
            else:
                if status != HTTPStatus.NO_CONTENT:
                    measurement.fail(str(status))
        if no_answer is not None:
            raise no_answer
        ingest.DATA_SENT.add(len(body), sink=self.name, type="line_protocol")
        try:
            return judge(status, text, len(points), location)
        except UnavailableError as failed:
            raise UnavailableError(failed.error_type, f"{self._address}: {failed}", refused=failed.refused) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _request(self, body: bytes) -> tuple[int, str, str]:
        """Return the status, the body and the Location of the answer."""
        try:
            async with self._http.post(
                # aiohttp warns of more than 1 MiB in one piece, and reads a file in parts.
                f"{self._address}/write",
                params=self._parameters,
                data=io.BytesIO(body),
                allow_redirects=False,
            ) as response:
                text = (await response.read()).decode(errors="replace")
                return response.status, text, response.headers.get("Location", "")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            message = f"no answer from {self._address} ({str(error) or type(error).__name__})"
            raise UnavailableError(type(error).__name__, message) from error


def judge(status: int, text: str, count: int, location: str = "") -> Answer:
    """Return the answer to a batch of `count` points; raise UnavailableError if the same batch may succeed later."""
    if status == HTTPStatus.NO_CONTENT:
        return Answer()
    message = error_in(text)
    if status == HTTPStatus.BAD_REQUEST and message.startswith("partial write"):
        return Answer(rejected(message, count), "partial_write", message[:LONGEST_MESSAGE])
    about_points = status in DATA_AT_FAULT and is_about_points(text)
    advice = "" if about_points else remedy(status, message, location)
    explained = f"HTTP {status} {message[:LONGEST_MESSAGE]}".rstrip() + advice
    if is_too_large(status, message):
        return Answer(count, str(status), explained, too_large=True)
    if about_points:
        return Answer(count, str(status), explained)
    passing = status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    raise UnavailableError(str(status), explained, refused=not passing)


def remedy(status: int, message: str, location: str) -> str:
    """Return advice on an error, as the end of a sentence; empty if there is none."""
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        target = plain(location) or "no Location"
        return f"; it redirects to {target}, which is not followed; give the address of the store itself"
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return "; a store answers 204; check that the address is the store's"
    if is_too_large(status, message):
        return "; write smaller batches with --batch-size, or let the store or its proxy accept larger requests"
    for error, advice in DATABASE_REMEDIES.items():
        if message.startswith(error):
            return advice
    return REMEDIES.get(status, "")


def is_too_large(status: int, message: str) -> bool:
    """Return whether an error is about the size of the request."""
    return status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or (status == HTTPStatus.BAD_REQUEST and TOO_BIG in message)


def is_about_points(text: str) -> bool:
    """Return whether the body of an answer is a store's error about the points: InfluxDB's, or VictoriaMetrics'."""
    return INCORRECT_LINE in text or json_error(text) not in (None, NO_DATABASE)


def plain(location: str) -> str:
    """Return a Location without its user and its query, which may hold a password."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return "an invalid URL"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def rejected(message: str, count: int) -> int:
    """Return how many of `count` points a partial write rejected.

    InfluxDB 1.x reports dropped=N for points whose types conflict with stored ones. For lines that it cannot parse it
    reports dropped=0 and lists them.
    """
    dropped = sum(map(int, DROPPED.findall(message)))
    return min(count, dropped + message.count(UNREADABLE) or 1)


def error_in(text: str) -> str:
    """Return the error in the body of an answer, in one line; of a web page it is the title."""
    message = json_error(text)
    if message is None:
        message = text
        if text.lstrip().startswith("<"):
            title = TITLE.search(text)
            message = html.unescape(title.group(1)) if title else ""
    return " ".join(message.split())


def json_error(text: str) -> str | None:
    """Return the error in a JSON object, as InfluxDB answers it; None if there is none."""
    try:
        return str(json.loads(text)["error"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
