"""What six files of a card say about the CA on it, and what is to be written so that both copies say the same."""

from __future__ import annotations

import pytest

from firmware.errors import CertificateError
from firmware.rootca.files import SERIAL_GAP, ca_from_files, is_empty, paths
from firmware.x509.serial_file import serial_file_from_number
from hil.sweep.powerloss.core import authority


def six(name: str = "First CA", serial: bytes = b"05\n") -> dict[str, bytes | None]:
    certificate, key = authority(name)
    content = {"serial.txt": serial, "cacert.pem": certificate.pem().encode(), "cakey.pem": key.pem().encode()}
    return {path: content[path.rsplit("/", 1)[1]] for path in paths()}


def test_two_equal_copies_need_nothing() -> None:
    ca = ca_from_files(six())
    assert (ca.next_serial, ca.repairs) == (5, {})
    assert ca.certificate.spki == ca.key.spki()


@pytest.mark.parametrize("path", [path for path in paths() if not path.endswith("serial.txt")])
@pytest.mark.parametrize("content", [None, b"", b"garbage \xff", b"-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_a_key_or_certificate_that_is_gone_comes_back_from_the_other_copy(path: str, content: bytes | None) -> None:
    files = six()
    good = files[path]
    files[path] = content
    ca = ca_from_files(files)
    assert ca.repairs == {path: good}
    assert ca.next_serial == 5


@pytest.mark.parametrize("directory", ["/CA", "/CABAK"])
@pytest.mark.parametrize("content", [None, b"", b"\xff" * 3, b"no number"])
def test_a_serial_number_that_is_gone_comes_back_behind_a_gap(directory: str, content: bytes | None) -> None:
    files = six()
    files[f"{directory}/serial.txt"] = content
    ca = ca_from_files(files)
    assert ca.next_serial == 5 + SERIAL_GAP
    assert set(ca.repairs.values()) == {serial_file_from_number(5 + SERIAL_GAP)}
    # The one that is damaged goes first: the other one stands until that is done.
    assert next(iter(ca.repairs)) == f"{directory}/serial.txt"


def test_the_gap_is_wider_than_what_a_card_may_forget() -> None:
    assert SERIAL_GAP > 32


def test_a_copy_that_was_never_finished_makes_no_gap() -> None:
    files = six() | {f"/CA/{name}": None for name in ("serial.txt", "cacert.pem", "cakey.pem")}
    assert ca_from_files(files).next_serial == 5


@pytest.mark.parametrize("ahead", ["/CA", "/CABAK"])
def test_the_higher_number_counts(ahead: str) -> None:
    files = six()
    files[f"{ahead}/serial.txt"] = b"0A\n"
    ca = ca_from_files(files)
    assert ca.next_serial == 10
    assert list(ca.repairs.values()) == [b"0A\n"]


@pytest.mark.parametrize("ending", ["new", "old"])
def test_a_number_that_an_interrupted_openssl_may_have_used_is_not_used_again(ending: str) -> None:
    # openssl ca has written serial.txt.new and the certificate; the card went before it renamed the files.
    ca = ca_from_files({**six(), f"/CA/serial.txt.{ending}": b"0A\n"})
    assert ca.next_serial == 10
    assert set(ca.repairs.values()) == {b"0A\n"}


@pytest.mark.parametrize("content", [b"", b"garbage", b"04\n", b"0\n"])
def test_what_openssl_left_behind_long_ago_changes_nothing(content: bytes) -> None:
    ca = ca_from_files({**six(), "/CA/serial.txt.new": content, "/CA/serial.txt.old": content})
    assert (ca.next_serial, ca.repairs) == (5, {})


def test_a_number_that_openssl_left_far_ahead_is_further_than_any_gap() -> None:
    ca = ca_from_files({**six(), "/CA/serial.txt": None, "/CA/serial.txt.old": b"01F4\n"})
    assert ca.next_serial == 500


def test_what_a_person_sees_counts_when_a_pc_brought_another_ca() -> None:
    files = six() | {path: content for path, content in six("Second CA").items() if path.startswith("/CA/")}
    ca = ca_from_files(files)
    assert ca.certificate.subject.text == "CN=Second CA"
    assert all(path.startswith("/CABAK/") for path in ca.repairs)


def test_nothing_good_in_either_copy_is_said_for_both() -> None:
    files = six() | {"/CA/cakey.pem": b"x", "/CABAK/cacert.pem": None}
    with pytest.raises(CertificateError, match=r"/CA/cakey.pem.*; /CABAK/cacert.pem is missing"):
        ca_from_files(files)
    with pytest.raises(CertificateError, match=r"serial.txt"):
        ca_from_files(six(serial=b"junk"))


def test_a_key_that_cannot_be_read_is_still_a_key() -> None:
    nothing: dict[str, bytes | None] = dict.fromkeys(paths())
    assert is_empty(nothing)
    assert is_empty(nothing | {"/CA/cacert.pem": b"left over", "/CA/serial.txt": b"01\n"})
    assert not is_empty(nothing | {"/CABAK/cakey.pem": b""})
