"""What the commands refuse before anything is handed over, and what the form's fields may look like."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from firmware.commands.language import call_from_line
from firmware.commands.registry import Call, Registry
from firmware.errors import CommandError
from firmware.x509.commands import register_x509
from firmware.x509.options import order_of


@dataclass
class FakeSession:
    """A session that must not be asked for anything."""

    secure: bool = True
    channel: str = "http"
    user: str = "admin"
    peer: str = "192.0.2.7"

    async def paste(self, what: str) -> str:
        raise AssertionError(f"asked for {what}")

    async def say(self, text: str) -> None:
        raise AssertionError(text)

    def log_out(self) -> None:
        raise AssertionError("logged out")


@pytest.fixture
def registry() -> Registry:
    """The module's commands over nothing: whatever they touched would fail."""
    made = Registry()
    register_x509(made, SimpleNamespace(cabinet=None))  # type: ignore[arg-type]
    return made


def parsed(registry: Registry, line: str, *, secure: bool = True) -> Call:
    return call_from_line(registry, line, FakeSession(secure))


def driven(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Runs a handler that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


@pytest.mark.parametrize("target", ["", " /target example.com"])
def test_over_plain_http_an_upload_is_refused_before_it_is_asked_for(registry: Registry, target: str) -> None:
    call = parsed(registry, f"x509 servercert-upload{target}", secure=False)
    with pytest.raises(CommandError, match="refused: a private key travels over HTTPS or the console only"):
        driven(call.operation.handler(call))


def test_over_a_secure_channel_it_is_asked_for(registry: Registry) -> None:
    call = parsed(registry, "x509 servercert-upload")
    with pytest.raises(AssertionError, match="asked for PEM"):
        driven(call.operation.handler(call))


def test_empty_fields_of_a_form_take_their_defaults(registry: Registry) -> None:
    line = "x509 servercert-create /cmd servercert-create /redirect /target device /type Signing+request /key"
    call = parsed(registry, f"{line} /signature  /dn-cn gw /dn-ou /dn-o Lab /san-dns a.example /san-dns /san-ip")
    assert call.get("type") == "Signing request"
    order = order_of(call, "IP800-06-11-ac")
    assert (order.key_bits, order.hash_name, order.dns_names, order.ip_addresses) == (
        1024,
        "sha256",
        ("a.example",),
        (),
    )
    assert order.subject.name().text == "CN=gw,O=Lab"


def test_without_a_form_an_option_needs_its_value(registry: Registry) -> None:
    with pytest.raises(CommandError, match="option /dn-ou needs a value"):
        parsed(registry, "x509 servercert-create /dn-cn gw /dn-ou")


def test_without_a_name_the_box_or_the_domain_is_the_subject(registry: Registry) -> None:
    call = parsed(registry, "x509 servercert-create")
    assert order_of(call, "IP800-06-11-ac").subject.name().text == "CN=IP800-06-11-ac"
    call = parsed(registry, "x509 servercert-create /target SIP.example.com")
    assert order_of(call, "IP800-06-11-ac").subject.name().text == "CN=sip.example.com"
