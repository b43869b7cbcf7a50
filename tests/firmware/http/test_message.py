"""Targets, queries and refusals as values."""

from __future__ import annotations

import pytest

from firmware.errors import RequestError
from firmware.http import Request, error_response, text_response
from firmware.http.message import path_from_target


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/a%20b?x=1", "/a b"),
        ("/!config%20write", "/!config write"),
        ("http://box/style.css?v=1", "/style.css"),
        ("https://box", "/"),
        ("/%C3%A4", "/ä"),
    ],
)
def test_the_path_is_decoded_and_without_query(target, path):
    assert path_from_target(target) == path


@pytest.mark.parametrize("target", ["*", "box:443", "/%FF", "/%00", "/a%0d%0ab", "/../etc", "/a/%2e%2e/b"])
def test_targets_that_lead_elsewhere_are_refused(target):
    with pytest.raises(RequestError) as caught:
        path_from_target(target)
    assert caught.value.status == 400


def test_query_fields_are_decoded_and_the_last_counts():
    request = Request("GET", "/x?a=1&a=2&b=%20&c", "/x")
    assert request.query == {"a": "2", "b": " ", "c": ""}
    assert Request("GET", "/x", "/x").query == {}


def test_a_query_of_thousands_of_fields_is_refused():
    with pytest.raises(RequestError, match="more than 64 fields"):
        _ = Request("GET", "/x?" + "a=1&" * 65, "/x").query


def test_refusals_are_plain_text_with_the_reason():
    response = error_response(404, "there is no page /<script>")
    assert response.content_type == "text/plain; charset=utf-8"
    assert response.body == b"404 Not Found\nthere is no page /<script>\n"
    assert text_response("ä").body == b"\xc3\xa4"
