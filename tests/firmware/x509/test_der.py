"""The DER codec: round trips, strictness, and what hostile bytes may do (raise one error, nothing else)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.errors import CertificateError
from firmware.x509 import der
from firmware.x509.der import Reader


@given(st.integers(-(1 << 300), 1 << 300))
def test_an_integer_reads_back_as_it_was_written(value: int) -> None:
    encoded = der.integer(value)
    assert der.integer_from_element(Reader(encoded, "test").take(der.INTEGER)) == value


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "020100"), (127, "02017f"), (128, "02020080"), (256, "02020100"), (-1, "0201ff"), (-128, "020180")],
)
def test_integers_are_written_in_the_shortest_way(value: int, encoded: str) -> None:
    assert der.integer(value).hex() == encoded


@pytest.mark.parametrize(
    ("dotted", "encoded"),
    [("2.5.4.3", "0603550403"), ("1.2.840.113549", "06062a864886f70d"), ("2.999.3", "0603883703"), ("0.9", "060109")],
)
def test_object_identifiers_go_both_ways(dotted: str, encoded: str) -> None:
    assert der.object_identifier(dotted).hex() == encoded
    assert der.oid_from_element(Reader(bytes.fromhex(encoded), "test").take()) == dotted


@given(st.frozensets(st.integers(0, 8)))
def test_named_bits_read_back_as_they_were_written(numbers: frozenset[int]) -> None:
    assert der.flags_from_element(Reader(der.named_bits(numbers), "test").take()) == numbers


def test_named_bits_have_no_trailing_zeros() -> None:
    assert der.named_bits([5, 6]).hex() == "03020106"
    assert der.named_bits([]).hex() == "030100"


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65_535, 65_536])
def test_contents_of_every_length_class_read_back(size: int) -> None:
    content = bytes(size)
    element = Reader(der.octet_string(content), "test").take()
    assert element.content == content
    assert element.raw == der.octet_string(content)


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        ("", "ends too early"),
        ("30", "inside a length"),
        ("3080", "length octet 80"),
        ("308400000001", "length octet 84"),
        ("3081", "length octet 81"),
        ("30810100", "shortest way"),
        ("3082008000", "shortest way"),
        ("3003020100ff", None),
        ("300302", "runs over the end by 2"),
        ("1f8101", "long tag number"),
    ],
)
def test_what_is_not_der_is_refused_with_its_reason(encoded: str, reason: str | None) -> None:
    reader = Reader(bytes.fromhex(encoded), "thing")
    if reason is None:
        reader.take()
        with pytest.raises(CertificateError, match=r"thing: 1 bytes too many \(at byte 5 of 6\)"):
            reader.finish()
    else:
        with pytest.raises(CertificateError, match=reason):
            reader.take()


LENGTHS = ("00", "01", "7f", "80", "8101", "8180", "820080", "820100")


def outcome(data: bytes, read: Callable[[Reader], bytes]) -> tuple[bytes | str, bytes]:
    """What was read or why not, and what is left."""
    reader = Reader(data, "thing")
    try:
        return read(reader), reader.rest
    except CertificateError as error:
        return str(error), reader.rest


@given(st.sampled_from(["02", "30", "1f"]), st.sampled_from(LENGTHS), st.integers(0, 300), st.sampled_from([None, 2]))
def test_what_is_refused_has_a_reason_and_is_left_where_it_was(kind: str, length: str, size: int, tag: int) -> None:
    data = bytes.fromhex(kind + length) + bytes(size)
    taken, rest = outcome(data, lambda reader: reader.take(tag).raw)
    content = outcome(data, lambda reader: reader.content(tag))
    if isinstance(taken, str):
        assert content == (taken, rest) == (taken, data)
        assert "by -" not in taken
    else:
        assert taken + rest == data
        assert content == (der.Reader(taken, "thing").take().content, rest)


@pytest.mark.parametrize("content", ["", "80", "2a86", "88" * 70 + "01"])
def test_object_identifiers_that_end_open_or_are_huge_are_refused(content: str) -> None:
    element = der.Element(der.OBJECT_IDENTIFIER, b"", bytes.fromhex(content))
    with pytest.raises(CertificateError, match="object identifier"):
        der.oid_from_element(element)


def test_a_wrong_tag_is_named_with_the_one_expected() -> None:
    with pytest.raises(CertificateError, match="thing: expected tag 30, found 02"):
        Reader(der.integer(1), "thing").take(der.SEQUENCE)


def test_take_if_leaves_what_it_does_not_want() -> None:
    reader = Reader(der.integer(7), "test")
    assert reader.take_if(der.BOOLEAN) is None
    assert reader.take_if(der.INTEGER) is not None
    assert reader.take_if(der.INTEGER) is None


def test_boolean_true_may_be_written_as_any_octet_but_zero() -> None:
    assert der.boolean_from_element(der.Element(1, b"", b"\x01")) is True
    assert der.boolean_from_element(der.Element(1, b"", b"\x00")) is False
    with pytest.raises(CertificateError, match="2 bytes"):
        der.boolean_from_element(der.Element(1, b"", b"\x00\x00"))


def test_a_set_is_sorted_by_its_encodings() -> None:
    assert der.set_of([der.integer(2), der.boolean(True), der.integer(1)]).hex() == "31090101ff020101020102"


@given(st.binary(max_size=200))
def test_any_bytes_are_elements_or_one_error(data: bytes) -> None:
    reader = Reader(data, "test")
    taken = b""
    try:
        while reader.more:
            taken += reader.take().raw
    except CertificateError:
        pass
    assert data.startswith(taken)
