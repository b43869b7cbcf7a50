"""PEM as users have it: joined by blanks, with text around it, from Windows, damaged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.errors import CertificateError
from firmware.x509 import blocks_from_pem, pem_from_der
from firmware.x509.pem import MAX_PEM_BYTES, PemBlock

BODY = bytes(range(200))
PEM = pem_from_der(BODY)


@given(st.binary(min_size=1, max_size=300))
def test_a_block_reads_back_as_it_was_written(data: bytes) -> None:
    assert blocks_from_pem(pem_from_der(data, "THING")) == [PemBlock("THING", data)]


def test_lines_have_64_characters() -> None:
    lines = PEM.splitlines()
    assert {len(line) for line in lines[1:-2]} == {64}
    assert PEM.endswith("-----END CERTIFICATE-----\n")


@pytest.mark.parametrize(
    "text",
    [
        PEM.replace("\n", " "),
        PEM.replace("\n", "\r\n"),
        PEM.replace("\n", "\r"),
        PEM.replace("\n", "\n\n"),
        PEM.replace("\n", "\n  "),
        PEM.replace("\n", ""),
        "Device certificate " + PEM + " and more",
        "\ufeff" + PEM,
        "Zertifikat für das Gerät\n" + PEM,
        PEM.rstrip("\n"),
    ],
    ids=["blanks", "crlf", "cr", "blank lines", "indented", "one line", "text", "bom", "umlauts", "no newline"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "str"])
def test_every_form_of_a_block_is_read(text: str, encoding: str) -> None:
    assert blocks_from_pem(text if encoding == "str" else text.encode(encoding)) == [PemBlock("CERTIFICATE", BODY)]


def test_several_blocks_come_in_their_order_with_their_labels() -> None:
    labels = ["RSA PRIVATE KEY", "CERTIFICATE", "X509 CERTIFICATE"]
    text = " between ".join(pem_from_der(BODY, label) for label in labels)
    assert [block.label for block in blocks_from_pem(text)] == labels


def test_a_damaged_block_of_a_kind_that_is_not_wanted_does_not_matter() -> None:
    encrypted = pem_from_der(BODY, "RSA PRIVATE KEY").replace("-----\nAA", "-----\nProc-Type: 4,ENCRYPTED\n\nAA")
    assert blocks_from_pem(encrypted + PEM, frozenset({"CERTIFICATE"})) == [PemBlock("CERTIFICATE", BODY)]
    with pytest.raises(CertificateError, match=r"PEM block 2 \(RSA PRIVATE KEY\) is encrypted"):
        blocks_from_pem(PEM + encrypted, frozenset({"RSA PRIVATE KEY"}))


def test_text_without_a_block_gives_none() -> None:
    assert blocks_from_pem("nothing here") == []
    assert blocks_from_pem(b"\x00\xff\xfe") == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PEM + PEM.replace("-----END CERTIFICATE-----", ""), r"PEM block 2 \(CERTIFICATE\) has no end line"),
        (PEM.replace("END CERTIFICATE", "END PRIVATE KEY"), r"PEM block 1 \(CERTIFICATE\) ends as PRIVATE KEY"),
        (PEM.replace("AAEC", "AA!C"), "damaged"),
        (PEM.replace("AAEC", "AAE"), "damaged"),
        (PEM.replace("AAEC", "AAEC!"), "damaged"),
        (PEM.replace("AAEC", "AAéC"), "damaged"),
        ("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "empty"),
        (PEM.replace("-----\nAA", "-----\nProc-Type: 4,ENCRYPTED\n\nAA"), "is encrypted"),
        (PEM + " " * MAX_PEM_BYTES, "limit 262144"),
    ],
)
def test_a_damaged_block_is_an_error_that_names_it(text: str, reason: str) -> None:
    with pytest.raises(CertificateError, match=reason):
        blocks_from_pem(text)


@given(st.binary(max_size=300) | st.text(max_size=300) | st.text("-BEGINEDCRT \nA=", max_size=300))
def test_any_text_is_blocks_or_one_error(data: bytes | str) -> None:
    try:
        assert all(block.der for block in blocks_from_pem(data))
    except CertificateError:
        pass
