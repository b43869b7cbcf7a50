"""What is remembered of bytes is the same as what they say, and nobody can tell by the cycles."""

from __future__ import annotations

from typing import Any

import pytest

from firmware.errors import CertificateError
from firmware.x509 import Certificate, certificate_from_der
from firmware.x509.memory import Notes, forget, remembered
from firmware.x509.work import viewing_work


@pytest.fixture
def asked() -> list[bytes]:
    return []


def test_what_was_asked_before_is_not_worked_out_again(asked: list[bytes]) -> None:
    @remembered(entries=2, longest_bytes=3)
    def length(data: bytes, more: int) -> int:
        asked.append(data)
        return len(data) + more

    assert [length(b"one", 1), length(b"one", 1), length(b"one", 2)] == [4, 4, 5]
    assert asked == [b"one", b"one"]


def test_what_is_remembered_stays_within_bounds_of_number_and_length(asked: list[bytes]) -> None:
    @remembered(entries=2, longest_bytes=3)
    def length(data: bytes) -> int:
        asked.append(data)
        return len(data)

    for data in (b"1", b"2", b"3", b"1"):
        length(data)
    assert asked == [b"1", b"2", b"3", b"1"]
    assert length(b"long") == length(b"long") == 4
    assert asked[4:] == [b"long", b"long"]


def test_notes_are_kept_within_bounds_and_go_with_everything_else() -> None:
    notes: Notes[str, int] = Notes(2)
    for number, question in enumerate(("one", "two", "two", "three")):
        notes.put(question, number)
    assert [notes.get(question) for question in ("one", "two", "three")] == [None, 2, 3]
    forget()
    assert (len(notes), notes.get("three")) == (0, None)


def test_an_error_is_found_anew_every_time(root: Certificate) -> None:
    for _ in range(2):
        with pytest.raises(CertificateError, match="1 bytes too many"):
            certificate_from_der(root.der + b"\0")


def test_a_certificate_reads_the_same_again_and_after_everything_was_forgotten(root: Certificate) -> None:
    forget()
    first, again = certificate_from_der(root.der), certificate_from_der(root.der)
    forget()
    for other in (again, certificate_from_der(root.der)):
        assert vars(other) == vars(first)
        assert str(other.subject) == str(first.subject)


def test_a_reader_of_a_certificate_pays_for_looking_at_it_whoever_has_looked_before(
    root: Certificate, issuing: Any
) -> None:
    first, again = certificate_from_der(root.der), certificate_from_der(root.der)
    price = viewing_work(issuing.costs, [first])
    assert first.is_self_signed
    assert viewing_work(issuing.costs, [first]) == []
    assert viewing_work(issuing.costs, [again]) == price != []


def test_a_signature_is_refused_as_before_for_other_data_another_key_and_another_hash(
    root: Certificate, issuing: Any
) -> None:
    key = root.public_key
    assert key is not None
    for _ in range(2):
        assert key.verify("sha256", root.tbs, root.signature)
        assert not key.verify("sha256", root.tbs + b"\0", root.signature)
        assert not key.verify("sha1", root.tbs, root.signature)
        assert not key.verify("sha256", root.tbs, root.signature[:-1] + b"\0\0")
        with pytest.raises(CertificateError, match="'sha3' is none of"):
            key.verify("sha3", root.tbs, root.signature)
    other = issuing.device.public_key
    assert other is not None
    assert other != key
    assert not other.verify("sha256", root.tbs, root.signature)
