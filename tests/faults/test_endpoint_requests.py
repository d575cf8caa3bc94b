"""Requests that break the rules of HTTP: a service at work refuses or understands them, and logs nothing."""

from __future__ import annotations

from tests.hostile_clients import answer_to

HOST = b"Host: localhost\r\n"
GET = b"GET /health HTTP/1.1\r\n" + HOST

# A request, and the statuses that answer it; 0 is a connection that ends without an answer.
MALFORMED: dict[str, tuple[bytes, set[int]]] = {
    "no request": (b"\r\n\r\n", {0, 400}),
    "a line of one word": (b"GET\r\n\r\n", {400}),
    "a line of four words": (b"GET /health HTTP/1.1 now\r\n\r\n", {400}),
    "words in the wrong order": (b"HTTP/1.1 /health GET\r\n\r\n", {400}),
    "an unknown version": (b"GET /health HTTP/9.9\r\n\r\n", {400, 505}),
    "a version that is not a number": (b"GET /health HTTP/one\r\n\r\n", {400}),
    "a version of a thousand digits": (b"GET /health HTTP/1." + b"1" * 1000 + b"\r\n" + HOST + b"\r\n", {400}),
    "HTTP/0.9": (b"GET /health\r\n\r\n", {400}),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), {400, 505}),
    "the hello of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), {0, 400, 414}),
    "a hello of SMB": (b"\x00\x00\x00\x85\xffSMB" + bytes(128) + b"\r\n\r\n", {400}),
    "NUL in the line": (b"GET /hea\x00lth HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}),
    "NUL in a header": (GET + b"X-A: a\x00b\r\n\r\n", {200, 400}),
    "nothing but NUL": (bytes(100_000), {414}),
    "an endless line": (b"GET /" + b"x" * 100_000, {414}),
    "an endless header": (GET + b"X-A: " + b"x" * 100_000, {431}),
    "eight thousand headers": (GET + b"X-A: 1\r\n" * 8_000 + b"\r\n", {431}),
    "two hundred headers": (GET + b"X-A: 1\r\n" * 200 + b"\r\n", {431}),
    "a header without a colon": (GET + b"nonsense\r\n\r\n", {200, 400}),
    "a header without a name": (GET + b": value\r\n\r\n", {200, 400}),
    "a folded header": (GET + b"X-A: a\r\n b\r\n\r\n", {200, 400}),
    "carriage returns alone": (b"GET /health HTTP/1.1\rHost: localhost\r\r", {0, 400, 408}),
    "line feeds alone": (b"GET /health HTTP/1.1\nHost: localhost\n\n", {200, 400}),
    "a path that injects a header": (b"GET /%0d%0aX-Injected:%20yes HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}),
    "a query that injects a header": (
        b"GET /?search=%0d%0aX-Injected:%20yes HTTP/1.1\r\n" + HOST + b"Accept: text/html\r\n\r\n",
        {200},
    ),
    "a Host that injects a header": (b"GET / HTTP/1.1\r\nHost: a\r\n\tX-Injected: yes\r\n\r\n", {400, 421}),
    "a path out of the pages": (b"GET /../../../../etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n", {404}),
    "a quoted path out of the pages": (b"GET /%2e%2e%2f%2e%2e%2fetc/passwd HTTP/1.1\r\n" + HOST + b"\r\n", {404}),
    "a path that is not UTF-8": (b"GET /\xff%ff%c0%af HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}),
    "a broken quotation": (b"GET /%zz%u1234% HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}),
    "an absolute URL": (b"GET http://localhost/health HTTP/1.1\r\n" + HOST + b"\r\n", {200}),
    "an absolute URL of another host": (b"GET http://evil.example/ HTTP/1.1\r\n" + HOST + b"\r\n", {421}),
    "a URL of a file": (b"GET file:///etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}),
    "CONNECT": (b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n", {404, 405, 421}),
    "a star": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", {404, 405}),
    "another Host": (b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n", {421}),
    "no Host": (b"GET /health HTTP/1.1\r\n\r\n", {400}),
    "two Hosts": (GET + b"Host: evil.example\r\n\r\n", {400}),
    "a Host of nonsense": (b"GET /health HTTP/1.1\r\nHost: [::1\r\n\r\n", {400}),
    "a chunked body": (
        b"POST /metrics HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n" + bytes(100_000),
        {405},
    ),
    "broken chunks": (b"POST /metrics HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", {405}),
    "a body that never comes": (b"POST /metrics HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000000\r\n\r\n", {405}),
    "a negative length": (GET + b"Content-Length: -1\r\n\r\n", {200, 400}),
    "two lengths": (GET + b"Content-Length: 0\r\nContent-Length: 9\r\n\r\nsmuggled!", {200, 400}),
    "length and chunks": (GET + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GET, {200, 400}),
    "Expect": (GET + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n", {200}),
    "an unknown expectation": (GET + b"Expect: a miracle\r\n\r\n", {200, 417}),
    "Upgrade": (GET + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", {200}),
    "a hundred requests at once": ((GET + b"\r\n") * 100, {200}),
    "an Accept of nonsense": (
        b"GET /metrics HTTP/1.1\r\n" + HOST + b"Accept: ;;,=,q=;a/b;q=x;version=\xff\r\n\r\n",
        {200, 406},
    ),
    "an Accept of a thousand items": (
        b"GET / HTTP/1.1\r\n" + HOST + b"Accept: " + b"a/b;q=1," * 8_000 + b"\r\n\r\n",
        {200},
    ),
    "a thousand names": (b"GET /metrics?" + b"name[]=a&" * 5_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", {200}),
    "credentials of nonsense": (GET + b"Authorization: Basic \xff\xfe====\r\n\r\n", {200}),
}


def status_of(answer: bytes) -> int:
    """Return the status of exactly one whole answer, or 0 if there is none."""
    if not answer:
        return 0
    head, _, body = answer.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    headers = {name.lower(): value.strip() for name, value in (each.split(b":", 1) for each in lines)}
    assert b"x-injected" not in headers, answer
    assert len(body) == int(headers[b"content-length"]), answer
    return int(line.split()[1])


def test_malformed_requests_are_refused_and_not_logged(attack_on, table):
    attacked = attack_on()

    def send_all() -> None:
        for name, (sent, expected) in MALFORMED.items():
            assert status_of(answer_to(attacked.port, sent)) in expected, name
        attacked.scrape()

    attacked.attack_twice(send_all)
    assert attacked.service.log_lines() == []
    attacked.add_row(table, f"{len(MALFORMED)} kinds of malformed requests")
