"""Deployment by a tool that knows only ``mod cmd X509 xml-info`` and persistent variables."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest

from firmware.x509 import DistinguishedName
from hil.bench import Bench
from hil.console import Console
from hil.gateway import Gateway

POLL_MS = 60_000
"""Update clients poll every few minutes."""

CREATE = (
    "mod cmd X509 servercert-create /cmd servercert-create /redirect /target device /type {type}"
    " /key 1024-bit /signature SHA256 /dn-cn {cn} /dn-ou  /dn-o Example /dn-l  /dn-st  /dn-c"
    "  /san-dns gw.example.com /san-dns  /san-dns  /san-ip  /san-ip "
)
"""As such tools send it: fields that are not filled in come along empty."""


@dataclass
class Tool:
    """A roll-out tool: polls, compares, sends commands, and looks at what came of them in its next poll only."""

    console: Console
    bench: Bench
    outside: Any
    type: str = "Signing%20request"

    def poll(self) -> ElementTree.Element:
        return ElementTree.fromstring(self.console.run("mod cmd X509 xml-info").text)

    def wait(self) -> None:
        self.bench.run_for(ms=POLL_MS)
        self.console.login()

    def chain(self) -> list[dict[str, str]]:
        return [dict(each.attrib) for each in self.poll().findall("servercert/certificate")]

    def create(self, cn: str = "0090330611ac") -> None:
        self.console.run(CREATE.format(type=self.type, cn=cn))

    def request(self) -> bytes:
        """The request, as ``vars read`` gives it: name, type, value."""
        name, kind, value = self.console.run("vars read X509/REQUEST").text.split()
        assert (name, kind) == ("X509/REQUEST", "pb")
        return bytes.fromhex(value)

    def answer(self, *ders: bytes) -> None:
        for number, der in enumerate(ders):
            self.console.run(f"vars create X509/REQUESTRESPONSE/{number:05d} pb {der.hex()}")

    def answered(self) -> bytes:
        """Goes through it all; gives the certificate."""
        self.create()
        while (info := self.poll()).find("busy") is not None:
            assert info.find("requests/request") is None
            self.wait()
        certificate = self.outside.sign(self.request())
        self.answer(certificate.der, self.outside.intermediate.der, self.outside.root.der)
        return bytes(certificate.der)


@pytest.fixture
def tool(console: Console, bench: Bench, outside: Any) -> Tool:
    return Tool(console, bench, outside)


def test_xml_info_shows_the_chain_as_the_tool_reads_it(tool: Tool) -> None:
    chain = tool.chain()
    assert {each["issuer_cn"] for each in chain} == {"gatebench Device Certification Authority"}
    assert chain[0]["subject_cn"] == "0090330611ac"
    for each in chain:
        assert set(each) == {"subject_cn", "issuer_cn", "not_before", "not_after"}
        assert datetime.fromisoformat(each["not_before"]).astimezone(UTC) < datetime.fromisoformat(each["not_after"])


@pytest.mark.parametrize("kind", ["Signing%20request", "Signing+request"])
def test_a_tool_that_knows_only_this_interface_deploys_a_certificate(tool: Tool, kind: str) -> None:
    tool.type = kind
    tool.answered()
    info = tool.poll()
    assert info.find("busy") is not None, "nothing is new in the query right behind the change"
    assert info.findall("servercert/certificate")[0].get("issuer_cn") == "gatebench Device Certification Authority"
    tool.wait()
    assert [each["subject_cn"] for each in tool.chain()] == ["0090330611ac", "Outside Issuing CA", "Outside Root CA"]
    info = tool.poll()
    for gone in ("busy", "requests", "request-error"):
        assert info.find(gone) is None
    assert tool.console.run("vars read").text == ""


def test_the_first_query_behind_the_creation_says_busy_and_a_later_one_shows_the_request(tool: Tool) -> None:
    tool.create()
    info = tool.poll()
    assert info.find("busy") is not None
    assert info.find("requests/request") is None
    tool.wait()
    info = tool.poll()
    assert info.find("busy") is None
    request = info.find("requests/request")
    assert request is not None
    assert request.get("subject_cn") == "0090330611ac"


def test_the_certificate_installed_is_the_one_that_was_written(tool: Tool, console: Console) -> None:
    der = tool.answered()
    tool.wait()
    copied = console.run("x509 servercert-get /index 0 /format der").text
    assert base64.b64decode(copied) == der
    assert "signed certificate installed: CN=0090330611ac" in console.run("log").text


def test_certificates_may_be_written_in_any_order(tool: Tool, outside: Any) -> None:
    tool.create()
    tool.wait()
    certificate = outside.sign(tool.request())
    tool.answer(outside.root.der, certificate.der, outside.intermediate.der)
    tool.wait()
    assert tool.chain()[0]["issuer_cn"] == "Outside Issuing CA"


def test_the_request_key_can_be_written_and_deleted_but_never_read(
    tool: Tool, console: Console, board: Gateway, outside: Any
) -> None:
    tool.create()
    tool.wait()
    assert console.run("vars read X509/REQUESTKEY").text == "X509/REQUESTKEY pb -"
    assert console.run("vars read X509/REQUESTKEY /json").json["value"] is None
    keys = [variable for variable in console.run("vars read /json").json if "KEY" in variable["name"]]
    assert [variable["value"] for variable in keys] == [None]
    key = outside.key("written")
    console.run(f"vars create X509/REQUESTKEY pb {key.pkcs1().hex()}")
    assert console.run("vars read X509/REQUESTKEY").text == "X509/REQUESTKEY pb -"
    assert key.pkcs1().hex()[:64] not in console.run("log").text
    tool.answer(outside.certificate("0090330611ac", key).der)
    tool.wait()
    assert tool.chain()[0]["issuer_cn"] == "Outside Issuing CA", "the key that was written is the one that counts"


@pytest.mark.parametrize("fault", ["another key", "damaged", "gap"])
def test_a_failed_import_stops_everything_until_it_is_cleaned_up_by_hand(
    tool: Tool, console: Console, outside: Any, fault: str
) -> None:
    tool.create()
    tool.wait()
    certificate = outside.sign(tool.request())
    stranger = outside.certificate("0090330611ac", outside.key("stranger"))
    tool.answer(
        *{
            "another key": (stranger.der, outside.intermediate.der),
            "damaged": (certificate.der[:-10],),
            "gap": (certificate.der, outside.root.der),
        }[fault]
    )
    assert tool.poll().find("request-error") is None
    tool.wait()
    info = tool.poll()
    assert info.find("request-error") is not None
    assert info.find("busy") is None
    assert tool.chain()[0]["issuer_cn"] == "gatebench Device Certification Authority"
    assert {"another key": "another key", "damaged": "certificate 0", "gap": "gap"}[fault] in console.run(
        "vars read X509/REQUESTERROR"
    ).text.replace("%20", " ")

    response = f"vars create X509/REQUESTRESPONSE/00000 pb {certificate.der.hex()}"
    for command in (response, CREATE.format(type="Signing%20request", cn="again")):
        assert "stopped by an earlier import that failed" in (console.run(command, check=False).error or "")
    refused = console.paste("x509 servercert-upload", certificate.pem(), check=False).error or ""
    assert "stopped by an earlier import" in refused

    console.run("vars del X509/REQUEST ")
    console.run("vars del X509/REQUESTKEY ")
    assert tool.poll().find("requests") is None
    assert "stopped" in (console.run(CREATE.format(type="Signing%20request", cn="again"), check=False).error or "")
    console.run("vars del X509/REQUESTERROR")
    assert tool.poll().find("request-error") is None
    tool.answered()
    tool.wait()
    assert tool.chain()[0]["issuer_cn"] == "Outside Issuing CA"


def test_an_error_survives_a_power_cut(tool: Tool, board: Gateway, outside: Any) -> None:
    tool.create()
    tool.wait()
    tool.answer(b"\x30\x03\x02\x01\x00")
    tool.wait()
    board.power_cycle()
    tool.console.login()
    assert tool.poll().find("request-error") is not None


def test_an_answer_that_was_written_before_the_power_went_is_taken_up_after_boot(
    tool: Tool, board: Gateway, outside: Any
) -> None:
    tool.answered()
    board.power_cycle()
    tool.console.login()
    assert tool.poll().find("busy") is not None
    tool.wait()
    assert tool.chain()[0]["issuer_cn"] == "Outside Issuing CA"


def test_an_answer_without_a_request_is_refused(console: Console, outside: Any) -> None:
    command = f"vars create X509/REQUESTRESPONSE/00000 pb {outside.root.der.hex()}"
    assert "no signing request is pending" in (console.run(command, check=False).error or "")
    assert console.run("vars read").text == ""


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("vars create X509/REQUESTRESPONSE/00010 pb 3000", "must be 0 to 9"),
        ("vars create X509/REQUESTRESPONSE/1 pb 3000", "there are REQUEST"),
        ("vars create X509/device/KEY pb 3000", "there are REQUEST"),
        ("vars read X509/device/KEY", "no variable"),
        ("vars create X509/REQUEST pb 3000", "value of X509/REQUEST"),
        ("vars create X509/REQUESTKEY pb 3000", "value of X509/REQUESTKEY"),
        ("vars create X509/REQUESTERROR pb 3000", "is set by the device"),
        ("vars del X509/REQUESTERROR", "no variable"),
    ],
)
def test_other_names_and_values_are_refused(tool: Tool, console: Console, command: str, message: str) -> None:
    tool.create()
    tool.wait()
    before = console.run("vars read").text
    assert message in (console.run(command, check=False).error or "")
    assert console.run("vars read").text == before


def test_the_tool_may_clean_up_a_request_that_it_does_not_need(tool: Tool, console: Console) -> None:
    tool.create()
    tool.wait()
    console.run("vars del X509/REQUEST ")
    console.run("vars del X509/REQUESTKEY ")
    assert console.run("vars read").text == ""
    tool.answered()


def test_names_that_would_break_the_xml_do_not(console: Console, outside: Any) -> None:
    key = outside.key("odd")
    subject = DistinguishedName(common_name='<&"A>').name().raw.replace(b'"A', b'"\x01')
    console.paste("x509 servercert-upload", key.pem() + outside.issued(subject, key.spki()).pem())
    info = ElementTree.fromstring(console.run("x509 xml-info").text)
    assert info.findall("servercert/certificate")[0].get("subject_cn") == '<&"?>'
