"""Addresses in headers, and their URIs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.sip.address import LONGEST_URI, Address, addresses_from_header, marks, uri_from_text
from firmware.sip.errors import SipError


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("<sip:a@b>", [Address("sip:a@b")]),
        ("sip:a@b;tag=1", [Address("sip:a@b", (("tag", "1"),))]),
        ("<sip:a@b;ob>;tag=1", [Address("sip:a@b;ob", (("tag", "1"),))]),
        ('"A, <B>" <sip:a@b>;x', [Address("sip:a@b", (("x", ""),))]),
        ("Alice <sip:a@b>, <sip:c@d>;expires=5", [Address("sip:a@b"), Address("sip:c@d", (("expires", "5"),))]),
        ('<sip:a@b>;+sip.instance="<urn:uuid:1>";reg-id=1', [
            Address("sip:a@b", (("+sip.instance", "<urn:uuid:1>"), ("reg-id", "1")))
        ]),
        (r'"say \"hi\", \\" <sip:a@b>', [Address("sip:a@b")]),
    ],
)  # fmt: skip
def test_addresses_are_read(text: str, addresses: list[Address]) -> None:
    assert list(addresses_from_header(text)) == addresses


@pytest.mark.parametrize(
    "text", ["", ",", "<sip:a@b", "<>", '"open <sip:a@b>', "<sip:a@b> more", "<sip:a b@c>", "a\tb", "<sip:a@b>,"]
)
def test_what_is_no_address_is_400(text: str) -> None:
    with pytest.raises(SipError) as error:
        addresses_from_header(text)
    assert error.value.status == 400


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:alice@Box", "SIP:alice@box"),
        ("sip:alice@box", "sip:alice@box:5060"),
        ("sips:alice@box", "sips:alice@box:5061"),
        ("sip:%61lice@box", "sip:alice@box"),
        ("sip:alice@box;a;b=1", "sip:alice@box;B=1;A"),
        ("sip:alice:secret@box", "sip:alice@box"),
        ("sip:alice@[2001:db8::1]", "sip:alice@[2001:DB8::1]:5060"),
    ],
)
def test_uris_that_mean_the_same_have_the_same_key(one: str, other: str) -> None:
    assert uri_from_text(one).key == uri_from_text(other).key


@pytest.mark.parametrize(
    "other", ["sip:Alice@box", "sips:alice@box", "sip:alice@box:5061", "sip:alice@box;lr", "sip:box"]
)
def test_uris_that_differ_have_another(other: str) -> None:
    assert uri_from_text("sip:alice@box").key != uri_from_text(other).key


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("alice", 400),
        ("tel:+4970", 416),
        ("sip:", 400),
        ("sip:@box", 400),
        ("sip:a@box:0", 400),
        ("sip:a@box:65536", 400),
        ("sip:a@box:x", 400),
        ("sip:%ff@box", 400),
        ("sip:" + "a" * LONGEST_URI, 400),
    ],
)
def test_what_is_no_sip_uri_is_refused(text: str, status: int) -> None:
    with pytest.raises(SipError) as error:
        uri_from_text(text)
    assert error.value.status == status


@given(st.text(max_size=80))
def test_whatever_comes_is_read_or_refused(text: str) -> None:
    for read in (addresses_from_header, uri_from_text):
        status = 400
        try:
            read(text)
        except SipError as error:
            status = error.status
        assert status in (400, 416)


def marks_by_character(text: str) -> tuple[list[tuple[int, str]], bool]:
    """RFC 3261 25.1, quoted-string, one character after the other; and whether the last quotation ends."""
    found, quoted, escaped = [], False, False
    for index, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif not quoted and character in "<>,;":
            found.append((index, character))
    return found, not quoted


@given(st.text(alphabet='"\\<>,;a\n', max_size=40))
def test_quotations_are_passed_over_as_the_grammar_has_them(text: str) -> None:
    found: list[tuple[int, str]] = []
    ends = True
    try:
        for mark in marks(text):
            found.append(mark)
    except SipError:
        ends = False
    assert (found, ends) == marks_by_character(text)


@given(st.characters())
def test_a_uri_holds_no_blank_of_any_kind_no_quote_and_no_bracket(character: str) -> None:
    fits = not character.isspace() and character not in '<>"'
    try:
        read = [address.uri for address in addresses_from_header(f"<sip:a{character}b@box>")]
    except SipError:
        read = []
    assert (read == [f"sip:a{character}b@box"]) == fits


ADDRESSED = st.lists(
    st.sampled_from(
        ["<sip:a@box>", '"A, B" ', "<", ">", ";tag=1", ";x", '="a;b"', r'="\""', ",", "Alice ", " ", "=", "é"]
    )
)


@given(ADDRESSED.map("".join))
def test_a_plain_address_reads_as_it_would_with_a_blank_that_makes_it_another(text: str) -> None:
    def read(value: str) -> tuple[Address, ...] | str:
        try:
            return addresses_from_header(value)
        except SipError as error:
            return str(error)

    assert read(text) == read(f"{text} ")


@given(
    st.lists(st.sampled_from(["a", "é", "@", "box", ":", "5061", "0", ";x=1", "%61", "[::1]", "?y", "-", " "])).map(
        "".join
    )
)
def test_a_plain_uri_reads_as_it_would_in_another_case(text: str) -> None:
    def read(value: str) -> tuple[object, ...] | str:
        try:
            return uri_from_text(value).key
        except SipError as error:
            return str(error)

    assert read(f"sips:{text}") == read(f"SIPS:{text}")
