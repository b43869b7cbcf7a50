"""Names that an application asks for, against those that a certificate is made out to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware.x509 import Certificate, DistinguishedName, PrivateKey, der, extension
from firmware.x509.builder import CertificateTemplate, issue
from firmware.x509.hostname import is_made_out_to, names_text
from firmware.x509.name import name_from_element, printable
from firmware.x509.oid import SUBJECT_ALT_NAME

Make = Callable[..., Certificate]


@pytest.fixture
def make(template: CertificateTemplate, keys: Mapping[int, PrivateKey]) -> Make:
    """``make(common_name, dns=(), ip=())``: a certificate with just these names."""

    def made(common_name: str, dns: Sequence[str] = (), ip: Sequence[str] = ()) -> Certificate:
        names = [extension.subject_alt_name(dns, ip)] if dns or ip else []
        subject = DistinguishedName(common_name=common_name).name()
        return issue(replace(template, subject=subject, extensions=tuple(names)), keys[1024])

    return made


@pytest.mark.parametrize(
    ("certified", "wanted", "fits"),
    [
        ("gw.example.com", "gw.example.com", True),
        ("gw.example.com", "GW.Example.COM", True),
        ("GW.EXAMPLE.com", "gw.example.com", True),
        ("gw.example.com", "gw.example.com.", True),
        ("gw.example.com.", "gw.example.com", True),
        ("gw.example.com", "gw.example.com..", False),
        ("gw.example.com", "example.com", False),
        ("gw.example.com", "a.gw.example.com", False),
        ("gw.example.com", "gwxexample.com", False),
        ("IP800-06-11-ac", "ip800-06-11-ac", True),
        ("xn--mller-kva.example.com", "müller.example.com", True),
        ("*.example.com", "gw.example.com", True),
        ("*.EXAMPLE.com", "GW.example.com.", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", ".example.com", False),
        ("*.example.com", "a.b.example.com", False),
        ("*.com", "example.com", False),
        ("*", "localhost", False),
        ("*.", "localhost.", False),
        ("gw*.example.com", "gw1.example.com", False),
        ("a.*.com", "a.example.com", False),
        ("*.*.com", "a.example.com", False),
        ("*.*.com", "a.*.com", False),
        ("*.0.2.1", "192.0.2.1", False),
        ("gw.example.com", "*.example.com", False),
        ("gw.example.com", "", False),
        ("gw.example.com", ".", False),
        ("gw.example.com", "\udcff", False),
        ("gw.example.com", "x" * 100 + "ü", False),
    ],
)
def test_dns_names_in_either_place(make: Make, certified: str, wanted: str, fits: bool) -> None:
    assert is_made_out_to(make("other", dns=[certified]), wanted) is fits
    assert is_made_out_to(make(certified), wanted) is fits


@pytest.mark.parametrize(
    ("certified", "wanted", "fits"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:DB8:0:0::1", True),
        ("2001:db8::1", "[2001:db8::1]", True),
        ("fe80::1", "fe80::1%eth0", True),
        ("2001:db8::1", "2001:db8::2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", False),
        ("192.0.2.1", "192.0.2.1.", True),
        ("192.0.2.1", "192.0.2", False),
        ("192.0.2.1", "192.0.2.٣", False),
        ("192.0.2.1", "[]", False),
        ("192.0.2.1", ":", False),
    ],
)
def test_addresses_in_either_place(make: Make, certified: str, wanted: str, fits: bool) -> None:
    assert is_made_out_to(make("other", ip=[certified]), wanted) is fits
    assert is_made_out_to(make(certified), wanted) is fits


def test_the_common_name_counts_only_where_there_is_no_alternative_name_of_that_kind(make: Make) -> None:
    both = make("gw.example.com", dns=["other.example.com"])
    assert not is_made_out_to(both, "gw.example.com")
    assert is_made_out_to(make("gw.example.com", ip=["192.0.2.1"]), "gw.example.com")
    assert is_made_out_to(make("192.0.2.1", dns=["gw.example.com"]), "192.0.2.1")
    assert not is_made_out_to(make("192.0.2.1", ip=["192.0.2.2"]), "192.0.2.1")


def test_an_address_written_as_a_dns_name_is_none(make: Make) -> None:
    assert not is_made_out_to(make("other", dns=["192.0.2.1"]), "192.0.2.1")


def test_of_several_common_names_the_last_one_counts(
    template: CertificateTemplate, keys: Mapping[int, PrivateKey]
) -> None:
    parts = [
        der.set_of([der.sequence(der.object_identifier("2.5.4.3"), der.tagged(der.UTF8_STRING, text))])
        for text in (b"first.example.com", b"last.example.com")
    ]
    subject = name_from_element(der.Reader(der.sequence(*parts), "name").take())
    certificate = issue(replace(template, subject=subject, extensions=()), keys[1024])
    assert is_made_out_to(certificate, "last.example.com")
    assert not is_made_out_to(certificate, "first.example.com")


def raw_dns_name(template: CertificateTemplate, key: PrivateKey, name: bytes) -> Certificate:
    names = der.sequence(der.context(2, name, constructed=False))
    encoded = der.sequence(der.object_identifier(SUBJECT_ALT_NAME), der.octet_string(names))
    return issue(replace(template, extensions=(encoded,)), key)


def test_an_empty_name_is_nobodys(template: CertificateTemplate, keys: Mapping[int, PrivateKey]) -> None:
    for certified in (b"", b"."):
        for wanted in ("", "."):
            assert not is_made_out_to(raw_dns_name(template, keys[1024], certified), wanted)


def test_a_zero_byte_in_a_name_ends_nothing(template: CertificateTemplate, keys: Mapping[int, PrivateKey]) -> None:
    certificate = raw_dns_name(template, keys[1024], b"gw.example.com\0.example.org")
    for wanted in ("gw.example.com", "gw.example.com\\00.example.org"):
        assert is_made_out_to(certificate, wanted) is (wanted != "gw.example.com")
    assert names_text(certificate).isprintable()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(certified=st.binary(max_size=40), wanted=st.text(max_size=40))
def test_any_names_are_compared(
    template: CertificateTemplate, keys: Mapping[int, PrivateKey], certified: bytes, wanted: str
) -> None:
    certificate = raw_dns_name(template, keys[1024], certified)
    assert is_made_out_to(certificate, wanted) in (True, False)
    shown = names_text(certificate)
    assert shown == printable(shown)


def test_names_for_people_are_few_and_short(make: Make) -> None:
    assert names_text(make("gw.example.com")) == "gw.example.com"
    assert names_text(make("")) == "nobody"
    many = make("other", dns=[f"{number}.example.com" for number in range(7)])
    assert names_text(many).startswith("0.example.com, 1.example.com, ")
    assert names_text(many).endswith(", 4.example.com and 3 more")
    assert names_text(make("other", dns=["x" * 100])) == "x" * 64 + ", other"
