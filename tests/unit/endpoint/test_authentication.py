"""The endpoint asks for its credentials."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.endpoint.conftest import basic, endpoint, header


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/summary", "/nothing"])
def test_every_path_requires_the_credentials(path):
    response = endpoint(username="prometheus", password="s3cret").respond("GET", path, {})
    assert response.status == 401
    assert header(response, "WWW-Authenticate").startswith("Basic realm=")


def test_the_right_credentials_are_accepted():
    served = endpoint(username="prometheus", password="pass:wörd")
    assert served.respond("GET", "/metrics", basic("prometheus", "pass:wörd")).status == 200


@given(username=st.text(), password=st.text())
def test_other_credentials_are_refused(username, password):
    status = endpoint(username="prometheus", password="s3cret").respond("GET", "/", basic(username, password)).status
    assert (status == 200) == (f"{username}:{password}" == "prometheus:s3cret")


@pytest.mark.parametrize(
    "value", ["", "Basic", "Basic !!!", "Bearer abc", "Digest cHJvbWV0aGV1czpzM2NyZXQ=", "Basic é"]
)
def test_a_header_other_than_basic_authentication_is_refused(value):
    served = endpoint(username="prometheus", password="s3cret")
    assert served.respond("GET", "/metrics", {"Authorization": value}).status == 401


def test_no_repr_shows_the_credentials():
    assert "s3cret" not in repr(endpoint(username="prometheus", password="s3cret"))
