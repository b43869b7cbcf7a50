"""What is typed behind ``x509 connect``, and what is printed of a connection whatever the peer is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.errors import CommandError
from firmware.x509.connect import Report, destination_from_text


@pytest.mark.parametrize(
    ("text", "host", "port", "address"),
    [
        ("box:443", "box", 443, "box:443"),
        ("IP800-06-11-ad:5061", "IP800-06-11-ad", 5061, "IP800-06-11-ad:5061"),
        ("192.0.2.1:1", "192.0.2.1", 1, "192.0.2.1:1"),
        ("[2001:db8::1]:65535", "2001:db8::1", 65535, "[2001:db8::1]:65535"),
    ],
)
def test_a_destination_is_a_host_and_a_port(text, host, port, address):
    destination = destination_from_text(text)
    assert (destination.host, destination.port, destination.name) == (host, port, host)
    assert destination.address == address
    assert destination_from_text(text, "gw.example.com").text == f"{address} as gw.example.com"


@given(st.text(max_size=40))
def test_any_text_is_a_destination_or_a_command_error(text):
    try:
        destination = destination_from_text(text)
    except CommandError:
        return
    assert destination.host
    assert 1 <= destination.port <= 65_535


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_certificates_that_cannot_be_read_are_shown_as_such(chain):
    report = Report(destination_from_text("box:443"), True, "failed", chain_der=tuple(chain))
    assert report.text().count("cannot be read") == len(chain)
    assert len(json.loads(json.dumps(report.data(0)))["chain"]) == len(chain)


@pytest.mark.parametrize(
    ("events", "asked"),
    [
        ((">ClientHello",), None),
        (("<ServerHello", "<Certificate"), None),
        (("<ServerHello", "<ServerHelloDone"), False),
        (("<ServerHello", "<Finished"), False),
        (("<CertificateRequest", "<ServerHelloDone"), True),
    ],
)
def test_whether_the_server_asked_is_said_only_where_it_is_known(events, asked):
    report = Report(destination_from_text("box:443"), True, events=events)
    assert report.asked is asked
    assert ("client" in report.text()) is (asked is not None)


def test_alerts_are_told_from_messages_and_close_notify_is_left_out():
    events = (">ClientHello", "<alert unknown_ca", ">alert close_notify")
    report = Report(destination_from_text("box:443"), True, "refused", events=events)
    assert (report.alerts, report.refused_by_peer) == (("<alert unknown_ca",), "unknown_ca")
    assert report.data(0)["alerts"] == ["unknown_ca received"]
    assert report.data(0)["messages"] == [">ClientHello"]
