"""The scrubber: it knows the secrets of living configurations, and the shapes in which secrets appear."""

import base64
import copy
import gc
import json
import logging
import pickle
import string
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ha.config.secrets import Secret
from otel_ha.config.urls import Url
from otel_ha.errors import CatalogError, ConfigError, TelemetryError
from otel_ha.scrub import LOGGERS, mask_shapes, scrub
from tests.unit.test_layers import MODULES, PACKAGE

CANARY = "c4n4ry/Zq+7=w"


@pytest.mark.parametrize(
    "text",
    [
        f"https://me:{CANARY}@host/path",
        f"https://{CANARY}@host",
        f"ProxyError('Unable to connect to http://me:p@{CANARY}@proxy:3128')",
        f"cannot reach me:{CANARY}@proxy:3128",
        f"Max retries exceeded with url: /v1/metrics?token={CANARY} (Caused by x)",
        f"https://host/{'a' * 40}?{CANARY}",
        f"Location: https://login/#access_token={CANARY}",
        f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----",
        f"'-----BEGIN EC PRIVATE KEY-----\\n{CANARY}",
        f"Authorization: Bearer {CANARY}",
        f'{{"authorization": "Basic {CANARY}"}}',
        f"received Bearer {CANARY}{CANARY}",
        f"api_key={CANARY}&x=1",
        f'{{"access_token": "{CANARY}"}}',
    ],
)
def test_a_secret_is_recognized_by_its_shape(text):
    masked = mask_shapes(text)
    assert "***" in masked
    assert "c4n4ry" not in masked
    assert mask_shapes(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "[Errno 111] Connection refused",
        "https://host:4318/v1/metrics",
        "OTEL_HA_HISTROY_LENGTH is not a setting; did you mean OTEL_HA_HISTORY_LENGTH?",
        "basic authentication is missing; a token was refused (see issue #12)",
        "HTTPSConnectionPool(host='127.0.0.1', port=1): Read timed out. (read timeout=1.5)",
        "received 7 = 5 processed + 2 discarded @ 12:30",
    ],
)
def test_a_text_without_a_secret_stays_as_it_is(text):
    assert mask_shapes(text) == text


@given(st.text(string.ascii_letters + string.digits + "+/=%&'\"\\ .-_~:@?#", min_size=8).filter(lambda it: it.strip()))
def test_a_secret_of_a_living_configuration_is_masked_in_every_form(text):
    secret = Secret(f"q{text}q")
    known = secret.reveal()
    forms = [known, repr(known), repr(repr(known)), json.dumps(known), quote(known), quote(known, safe="")]
    forms += [quote_plus(known), base64.b64encode(known.encode()).decode()]
    for form in forms:
        assert form.strip("'\"") not in scrub(f"before {form} after")


def test_both_parts_of_a_header_of_basic_authentication_are_masked():
    header = Secret(f"Basic {base64.b64encode(b'someone:c4n4ry-password').decode()}")
    assert "c4n4ry" not in scrub("the receiver says: wrong password c4n4ry-password for someone")
    assert header.reveal().split()[1] not in scrub(f"received {header.reveal().split()[1]}")


def test_the_token_after_the_scheme_of_a_header_is_masked():
    header = Secret("Splunk c4n4ry-token")
    assert scrub("cannot use c4n4ry-token") == "cannot use ***"
    assert header


def test_the_values_in_the_query_of_a_url_are_masked_alone_as_well():
    url = Url("https://host/push?token=c4n4ry%2Ftoken&x=1")
    assert scrub("refused c4n4ry/token") == "refused ***"
    assert url


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda secret: pickle.loads(pickle.dumps(secret))])
def test_a_copy_of_a_secret_is_masked_once_the_original_has_gone(copied):
    secret = copied(Secret("c4n4ry-copied"))
    gc.collect()
    assert scrub("refused c4n4ry-copied") == "refused ***"
    assert secret


def test_of_two_equal_secrets_the_second_is_masked_once_the_first_has_gone():
    first, second = Secret("c4n4ry-equal"), Secret("c4n4ry-equal")
    del first
    gc.collect()
    assert scrub("refused c4n4ry-equal") == "refused ***"
    assert second


def test_a_short_header_does_not_garble_messages():
    headers = [Secret("1"), Secret("true")]
    assert scrub("OTEL_X is 1; allowed: true or false") == "OTEL_X is 1; allowed: true or false"
    assert headers


@pytest.mark.parametrize("part", ["://", "-----BEGIN ", "?a=", "a:", "a@", "token=", "authorization: ", "basic "])
def test_a_long_hostile_text_is_scrubbed_quickly(part):
    started = time.process_time()
    assert len(scrub(part * (5_000_000 // len(part)))) < 200_000
    assert time.process_time() - started < 20


@pytest.mark.parametrize("error", [TelemetryError, CatalogError, ConfigError])
def test_an_error_of_ours_shows_no_secret(error):
    raised = error(f"cannot reach https://me:{CANARY}@host")
    assert "c4n4ry" not in f"{raised} {raised!r} {raised.args}"
    assert pickle.loads(pickle.dumps(raised)).args == raised.args


@pytest.mark.parametrize("name", LOGGERS)
def test_a_log_record_shows_no_secret_at_any_level(name, caplog):
    logger = logging.getLogger(name)
    caplog.set_level(logging.DEBUG, name)
    secret = Secret("c4n4ry-in-the-log")
    logger.debug("%s and %d%%: %s", f"https://me:{CANARY}@host", 5, "c4n4ry-in-the-log")
    try:
        raise ValueError(secret.reveal())  # noqa: TRY301 - the traceback is the point
    except ValueError:
        logger.debug("it failed", exc_info=True)
    assert "and 5%: ***" in caplog.text
    assert "ValueError: ***" in caplog.text
    assert "c4n4ry" not in caplog.text + "".join(str(vars(record)) for record in caplog.records)


def test_every_logger_of_the_package_is_scrubbed():
    used = {
        line.partition('getLogger("')[2].partition('"')[0]
        for module in MODULES
        for line in (PACKAGE / module).read_text().splitlines()
        if 'getLogger("otel_ha' in line
    }
    assert used == set(LOGGERS)
