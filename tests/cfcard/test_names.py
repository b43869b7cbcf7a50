"""Short names, long names, and what ties them together."""

from __future__ import annotations

import errno
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfcard import NoCard, RamDevice, VolumeCorrupt
from cfcard.fat import Fat
from cfcard.fat.names import (
    alias,
    fold,
    long_slots,
    parts_of,
    short_checksum,
    short_from_name,
    text_from_short,
)
from cfcard.fat.stamp import fields_from_stamp, stamp_from_fields


@pytest.mark.parametrize("name", ["A", "README.TXT", "CAKEY.PEM", "12345678.123", "A~1.B", "$#@"])
def test_upper_case_eight_three_needs_no_long_name(name: str) -> None:
    short = short_from_name(name)
    assert short is not None
    assert text_from_short(short) == name


@pytest.mark.parametrize(
    "name", ["a", "cakey.pem", "123456789", "A.B.C", "A.", ".A", "A B", "A+B", "Ü", "", "A.1234", "A.B\n"]
)
def test_everything_else_needs_one(name: str) -> None:
    assert short_from_name(name) is None


@pytest.mark.parametrize(
    ("name", "taken", "expected"),
    [
        ("cakey.pem", set(), b"CAKEY   PEM"),
        ("cakey.pem", {b"CAKEY   PEM"}, b"CAKEY~1 PEM"),
        ("certificate.pem", set(), b"CERTIF~1PEM"),
        ("certificate.pem", {b"CERTIF~1PEM", b"CERTIF~2PEM"}, b"CERTIF~3PEM"),
        ("two.dots.text", set(), b"TWODOT~1TEX"),
        (".profile", set(), b"PROFIL~1   "),
        ("a b", set(), b"AB~1       "),
        ("x+y.c", set(), b"X_Y~1   C  "),
        ("日本", set(), b"__~1       "),
    ],
)
def test_alias_follows_the_basis_name_rules(name: str, taken: set[bytes], expected: bytes) -> None:
    assert alias(name, taken.__contains__)[0] == expected


def test_checksum_is_the_published_one() -> None:
    # Worked by hand: rotate right, add, for the eleven bytes of a name.
    total = 0
    for byte in b"FILENAMETXT":
        total = ((total >> 1) | (total & 1) << 7) + byte & 0xFF
    assert short_checksum(b"FILENAMETXT") == total


def test_long_slots_lie_last_part_first_and_end_in_ffff() -> None:
    slots = long_slots("a name of 20 letters", b"ANAMEO~1   ")
    assert len(slots) == 64
    assert (slots[0], slots[32]) == (0x42, 0x01)
    assert slots[11] == slots[43] == 0x0F
    assert slots[32 + 1 : 32 + 11] == "a nam".encode("utf-16-le")
    assert slots[28:32] == b"\xff\xff\xff\xff"
    assert len(long_slots("x" * 13, b"X          ")) == 32, "no end mark where the name fills its last part"


def test_paths_are_resolved_lexically() -> None:
    assert parts_of("//a/./b/../c/") == ["a", "c"]
    assert parts_of("../../a") == ["a"]
    assert parts_of("") == []


def test_fold_keeps_one_character_for_one() -> None:
    assert fold("größe") == "GRößE".replace("ö", "Ö")


@given(
    st.tuples(
        st.integers(1980, 2107), st.integers(1, 12), st.integers(1, 28), st.integers(0, 23), st.integers(0, 59),
        st.integers(0, 29).map(lambda half: half * 2),
    )
)  # fmt: skip
def test_stamps_hold_two_second_steps(fields: tuple[int, int, int, int, int, int]) -> None:
    assert fields_from_stamp(stamp_from_fields(*fields)) == fields


def test_times_outside_are_clipped() -> None:
    assert fields_from_stamp(stamp_from_fields(1970, 5, 5, 5, 5, 5)) == (1980, 1, 1, 0, 0, 0)
    assert fields_from_stamp(stamp_from_fields(2200, 5, 5, 5, 5, 5)) == (2107, 12, 31, 23, 59, 58)
    assert fields_from_stamp((0xFFFF, 0xFFFF)) == (2107, 12, 31, 23, 59, 58)
    assert fields_from_stamp((0, 0)) == (1980, 1, 1, 0, 0, 0)


@given(name=st.text(min_size=1, max_size=40))
def test_any_name_is_stored_exactly_or_refused(name: str) -> None:
    card = RamDevice(1 << 20)
    Fat().mkfs(card)
    refusal = 0
    try:
        Fat().mount(card).replace("/" + name, b"content")
    except OSError as error:
        refusal = error.errno or -1
    if refusal:
        assert refusal in (errno.EINVAL, errno.EISDIR, errno.ENOENT)
        assert list(Fat().mount(card).ilistdir("/")) == []
        return
    (row,) = Fat().mount(card).ilistdir("/")
    assert row[0] == parts_of(name)[-1]
    assert Fat().mount(card).read_file("/" + name) == b"content"
    assert Fat().check(card).problems == ()


def test_errors_carry_an_errno_and_one_line() -> None:
    error = VolumeCorrupt("FAT entry 5", "a cluster", "9")
    assert (error.errno, str(error)) == (errno.EILSEQ, "FAT entry 5: expected a cluster, found 9")
    assert (NoCard().errno, str(NoCard())) == (errno.ENODEV, "no card")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(pickle.loads(pickle.dumps(NoCard("gone")))) == "gone"
