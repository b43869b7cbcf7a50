"""Who answers what."""

from __future__ import annotations

import pytest

from firmware.errors import RequestError
from firmware.http import Router, text_response
from firmware.http.router import MethodNotAllowed


@pytest.fixture
def router():
    router = Router()
    router.get("/", lambda request: text_response("home"))
    router.add("POST", "/upload", lambda request: text_response("thanks"), body_bytes=10, secure_only=True)
    return router


def test_a_route_is_found_by_method_and_path(router):
    assert router.find("GET", "/").body_bytes == 0
    assert router.find("POST", "/upload").secure_only


def test_head_is_answered_by_get(router):
    assert router.find("HEAD", "/") is router.find("GET", "/")


def test_an_unknown_path_is_404(router):
    with pytest.raises(RequestError, match="there is no page /nowhere") as caught:
        router.find("GET", "/nowhere")
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("POST", "/", ("GET", "HEAD")), ("HEAD", "/upload", ("POST",)), ("get", "/", ("GET", "HEAD"))],
)
def test_another_method_is_405_and_says_which_are_possible(router, method, path, allowed):
    with pytest.raises(MethodNotAllowed) as caught:
        router.find(method, path)
    assert (caught.value.status, caught.value.allowed) == (405, allowed)


def test_two_handlers_for_one_thing_are_a_mistake(router):
    with pytest.raises(ValueError, match="GET / has a handler already"):
        router.get("/", lambda request: text_response("other"))
