"""Distinguished names: shown, compared, built."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from firmware.errors import CertificateError, ConfigError
from firmware.x509 import der
from firmware.x509.der import Reader
from firmware.x509.name import DistinguishedName, Name, name_from_element, printable

CN, O, C = "2.5.4.3", "2.5.4.10", "2.5.4.6"  # noqa: E741


def encoded_name(*parts: Iterable[tuple[str, int, bytes]]) -> Name:
    sets = [der.set_of(der.sequence(der.object_identifier(o), der.tagged(t, v)) for o, t, v in part) for part in parts]
    return name_from_element(Reader(der.sequence(*sets), "name").take())


def common_name(tag: int, value: bytes) -> Name:
    return encoded_name([(CN, tag, value)])


def test_a_name_is_shown_with_its_most_special_part_first() -> None:
    name = DistinguishedName(common_name="gw", organization="Example", country="de", organizational_unit="Voice").name()
    assert str(name) == "CN=gw,OU=Voice,O=Example,C=DE"
    assert name.common_name == "gw"


def test_a_built_name_reads_back_and_the_country_is_a_printable_string() -> None:
    name = DistinguishedName(country="DE", state="s", locality="l", organization="o", common_name="ü").name()
    again = name_from_element(Reader(name.raw, "name").take())
    assert again.text == name.text == "CN=ü,O=o,L=l,ST=s,C=DE"
    assert bytes.fromhex("13024445") in name.raw
    assert "0c02c3bc" in name.raw.hex()


@given(st.text('aZ0-ä漢€😀 #"+,;<>\\=', max_size=20))
def test_strings_are_escaped_as_another_implementation_does(text: str) -> None:
    text = f"x{text}x"
    ours = common_name(der.UTF8_STRING, text.encode())
    assert str(ours) == x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]).rfc4514_string()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" a ", r"CN=\ a\ "),
        ("#1", r"CN=\#1"),
        ("a,b+c", r"CN=a\,b\+c"),
        ("\x1b[31m", r"CN=\1B[31m"),
        ("a\nb", r"CN=a\0Ab"),
        ("\u202egnp", r"CN=\E2\80\AEgnp"),
        ("", "CN="),
    ],
)
def test_special_and_control_characters_are_escaped(text: str, shown: str) -> None:
    assert str(common_name(der.UTF8_STRING, text.encode())) == shown


def test_several_attributes_in_one_set_are_joined_and_unknown_types_are_shown_in_hexadecimal() -> None:
    name = encoded_name([(CN, der.UTF8_STRING, b"a"), (O, der.UTF8_STRING, b"b")], [("1.2.3", der.UTF8_STRING, b"c")])
    assert str(name) == "1.2.3=#0c0163,CN=a+O=b"


@pytest.mark.parametrize(
    ("tag", "value", "text"),
    [
        (der.BMP_STRING, "Ärger".encode("utf-16-be"), "Ärger"),
        (der.T61_STRING, b"\xc4rger", "Ärger"),
        (der.UNIVERSAL_STRING, "Ä".encode("utf-32-be"), "Ä"),
        (der.PRINTABLE_STRING, b"*.a@b", "*.a@b"),
    ],
)
def test_every_string_type_is_read(tag: int, value: bytes, text: str) -> None:
    assert common_name(tag, value).common_name == text


@pytest.mark.parametrize(("tag", "value"), [(der.UTF8_STRING, b"\xff"), (der.BMP_STRING, b"a"), (der.INTEGER, b"\x01")])
def test_values_that_are_no_text_are_kept_and_shown_as_bytes(tag: int, value: bytes) -> None:
    assert str(common_name(tag, value)) == f"CN=#{der.tagged(tag, value).hex()}"


def test_names_are_equal_whatever_their_case_blanks_and_string_types() -> None:
    name = common_name(der.UTF8_STRING, b"Test  Root ")
    assert name == common_name(der.PRINTABLE_STRING, b" test root")
    assert hash(name) == hash(common_name(der.PRINTABLE_STRING, b" test root"))
    assert common_name(der.UTF8_STRING, b"STRASSE") == common_name(der.UTF8_STRING, "straße".encode())


def test_attributes_of_one_set_have_no_order() -> None:
    a, b = (CN, der.UTF8_STRING, b"a"), (O, der.UTF8_STRING, b"b")
    swapped = der.sequence(
        der.tagged(der.SET, b"".join(der.sequence(der.object_identifier(o), der.tagged(t, v)) for o, t, v in (b, a)))
    )
    name = name_from_element(Reader(swapped, "name").take())
    assert name.raw != encoded_name([a, b]).raw
    assert name == encoded_name([a, b])
    assert hash(name) == hash(encoded_name([a, b]))


def test_names_differ_by_value_type_order_and_grouping() -> None:
    a, b = (CN, der.UTF8_STRING, b"a"), (O, der.UTF8_STRING, b"b")
    assert encoded_name([a]) != encoded_name([(CN, der.UTF8_STRING, b"ab")])
    assert encoded_name([a]) != encoded_name([(O, der.UTF8_STRING, b"a")])
    assert encoded_name([a], [b]) != encoded_name([b], [a])
    assert encoded_name([a], [b]) != encoded_name([a, b])
    assert encoded_name([a]) != encoded_name([a], [a])
    assert encoded_name([a]) != "CN=a"


def test_an_empty_name_is_a_name_and_an_empty_set_is_not() -> None:
    assert encoded_name().text == ""
    assert encoded_name().common_name == ""
    with pytest.raises(CertificateError, match="ends too early"):
        encoded_name([])


@pytest.mark.parametrize(
    ("field", "option", "limit"),
    [
        ("common_name", "dn-cn", 64),
        ("organizational_unit", "dn-ou", 64),
        ("organization", "dn-o", 64),
        ("locality", "dn-l", 128),
        ("state", "dn-st", 128),
    ],
)
def test_a_field_may_be_as_long_as_its_limit_and_no_longer(field: str, option: str, limit: int) -> None:
    assert DistinguishedName(**{field: "x" * limit})
    with pytest.raises(ConfigError, match=f"{option} has {limit + 1} characters, limit {limit}") as caught:
        DistinguishedName(**{field: "x" * (limit + 1)})
    assert caught.value.field == option


@pytest.mark.parametrize("country", ["D", "DEU", "1A", "ÄÖ"])
def test_a_country_is_two_letters(country: str) -> None:
    with pytest.raises(ConfigError, match="dn-c") as caught:
        DistinguishedName(country=country)
    assert caught.value.field == "dn-c"


@pytest.mark.parametrize("text", ["a\x00b", "a\x1bb", "a\u202eb", "a\ud800b"])
def test_control_characters_are_refused_and_not_echoed(text: str) -> None:
    with pytest.raises(ConfigError, match="control character") as caught:
        DistinguishedName(common_name=text)
    assert str(caught.value) == printable(str(caught.value))


def test_blanks_around_a_field_are_dropped_and_an_empty_field_is_left_out() -> None:
    assert DistinguishedName(common_name=" gw ", organization="  ").name().text == "CN=gw"
