"""What a user may order, and the one line that says why not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from firmware.errors import ConfigError
from firmware.x509 import CertificateOrder, DistinguishedName, order_from_options


def test_a_common_name_is_enough_and_the_rest_is_the_default_certificate() -> None:
    order = order_from_options({"dn-cn": "IP800-06-11-ac"})
    assert order == CertificateOrder(DistinguishedName(common_name="IP800-06-11-ac"))
    assert (order.key_bits, order.hash_name, order.years) == (1024, "sha256", 10)


def test_every_option_arrives() -> None:
    order = order_from_options(
        {
            "target": "device",
            "type": "Self-signed",
            "key": "4096-bit",
            "signature": "SHA384",
            "years": "3",
            "dn-cn": "a",
            "dn-ou": "b",
            "dn-o": "c",
            "dn-l": "d",
            "dn-st": "e",
            "dn-c": "de",
            "san-dns": ["one.example", "", "two.example", "one.example"],
            "san-ip": "2001:DB8::0:1",
        }
    )
    assert order.subject.name().text == "CN=a,OU=b,O=c,L=d,ST=e,C=DE"
    assert (order.key_bits, order.hash_name, order.years) == (4096, "sha384", 3)
    assert order.dns_names == ("one.example", "two.example")
    assert order.ip_addresses == ("2001:db8::1",)


def test_the_old_key_can_be_used_again() -> None:
    assert order_from_options({"dn-cn": "a", "key": "reuse"}).key_bits is None


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("key", "512-bit", "key '512-bit' is none of 1024-bit, 2048-bit, 4096-bit, reuse"),
        ("key", "2048", "none of"),
        ("signature", "SHA3", "signature 'SHA3' is none of MD5, SHA1, SHA224, SHA256, SHA384, SHA512"),
        ("years", "0", "years must be from 1 to 30, not 0"),
        ("years", "31", "years must be from 1 to 30, not 31"),
        ("years", "-1", "not '-1'"),
        ("years", "ten", "not 'ten'"),
        ("years", "٣", "not"),
        ("years", "9" * 5000, "not '9999"),
        ("dn-cn", "", "dn-cn is missing"),
        ("dn-cn", "x" * 65, "dn-cn has 65 characters, limit 64"),
        ("dn-cn", ["a", "b"], "dn-cn is given 2 times"),
        ("dn-c", "Germany", "dn-c has 7 characters, limit 2"),
        ("san-dns", ["a", "b", "c", "d"], "4 values of san-dns, limit 3"),
        ("san-dns", "under_score", "not a host name"),
        ("san-dns", "a..b", "not a host name"),
        ("san-dns", "-a", "not a host name"),
        ("san-dns", "a-", "not a host name"),
        ("san-dns", "*", "not a host name"),
        ("san-dns", "a.*.b", "not a host name"),
        ("san-dns", "a" * 64, "not a host name"),
        ("san-dns", "bücher.example", "xn--"),
        ("san-dns", ".".join(["a" * 50] * 6), "limit 253"),
        ("san-dns", "a\x1b[31m", r"'a\\x1b\[31m'"),
        ("san-ip", ["192.0.2.1", "192.0.2.2", "192.0.2.3"], "3 values of san-ip, limit 2"),
        ("san-ip", "192.0.2.256", "'192.0.2.256' is not an IPv4 or IPv6 address"),
        ("san-ip", "192.0.2.1/24", "not an IPv4"),
        ("san-ip", "192.0.02.1", "not an IPv4"),
        ("san-ip", "fe80::1%eth0", "zone"),
        ("san-ip", "gw.example", "not an IPv4"),
    ],
)
def test_a_wrong_value_is_refused_with_its_field_and_limit(
    option: str, value: str | Sequence[str], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        order_from_options({"dn-cn": "gw", option: value})
    assert caught.value.field == option
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["gw", "*.example.com", "xn--bcher-kva.example", "1.example", "A.b", "a.example."])
def test_host_names_of_all_kinds_are_taken(name: str) -> None:
    order = order_from_options({"dn-cn": "gw", "san-dns": name})
    assert order.dns_names == (name.removesuffix("."),)


@pytest.mark.parametrize(
    ("field", "value"), [("key_bits", 3072), ("hash_name", "sha3"), ("years", 0), ("dns_names", ("",))]
)
def test_an_order_made_in_code_is_checked_as_well(field: str, value: object) -> None:
    with pytest.raises(ConfigError):
        CertificateOrder(DistinguishedName(common_name="a"), **{field: value})  # type: ignore[arg-type]
