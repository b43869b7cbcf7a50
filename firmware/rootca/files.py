r"""The files of the CA on the card, and what they say. Pure: bytes in, state out.

::

    /CA/cacert.pem      certificate of the root CA (PEM)            as the reference text lists them, and as
    /CA/cakey.pem       private key of the root CA (PEM)            ``openssl ca`` on a PC reads them
    /CA/serial.txt      the next serial number (hex string)
    /CA/serial.txt.new  left by ``openssl ca``: the number that follows the one that it used last
    /CA/serial.txt.old  and the one before
    /CABAK/...          the same three: one destroyed directory sector cannot take both
    /CABAK/pad.bin      rewritten after whatever must not be forgotten: pushes it out of what a card may still forget
    /BACKUP/*.pem       device certificates issued with "Backup on CF card": key and chain in one file

The copies are equal, or one of them is older or damaged: then the better one counts, and repairs the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from firmware.errors import CertificateError
from firmware.x509.certificate import Certificate, certificates_from_pem
from firmware.x509.key import PrivateKey, private_key_from_file
from firmware.x509.serial_file import serial_file_from_number, serial_from_file

CERTIFICATE = "cacert.pem"
KEY = "cakey.pem"
SERIAL = "serial.txt"
NAMES = (SERIAL, CERTIFICATE, KEY)
"""In the order in which they are written: where there is a key, the other two are there already."""

PRIMARY = "/CA"
COPY = "/CABAK"
DIRECTORIES = (COPY, PRIMARY)
"""In the order in which they are written: a name in ``/CA`` is promised only once its copy exists."""

LEFT_BY_PC = (f"{PRIMARY}/{SERIAL}.new", f"{PRIMARY}/{SERIAL}.old")
"""``openssl ca`` writes the next number to ``.new``, then the certificate, and only then renames ``serial.txt`` to
``.old`` and ``.new`` to ``serial.txt`` (OpenSSL, ``apps/ca.c``). A card that is pulled from the PC in between tells by
these what the PC may have used."""

PAD = "/CABAK/pad.bin"
PAD_SECTORS = 32
"""Industrial cards promise to lose at most the last 32 acknowledged sectors in a cut (Swissbit C-440 data sheet)."""

SERIAL_GAP = 64
"""Numbers that are skipped when a copy of the serial number is unusable: the other one may be older by as many numbers
as a card may forget sectors. More than ``PAD_SECTORS``, and a round number in hexadecimal, which a person can see."""

BACKUP = "/BACKUP"

LARGEST_FILE_BYTES = 16_384
"""More than a 4096-bit key with its certificate; what is larger is not ours."""

Files = Mapping[str, bytes | None]
"""Content by path, None for a file that is not there, empty for one that cannot be read; the paths of ``paths`` and of
``LEFT_BY_PC``."""


def paths() -> list[str]:
    """The six files that make up a CA, copy first."""
    return [f"{directory}/{name}" for directory in DIRECTORIES for name in NAMES]


@dataclass(frozen=True)
class CardCa:
    """The CA on a card, with its key: to be held only as long as one operation takes."""

    certificate: Certificate
    key: PrivateKey
    next_serial: int
    repairs: Mapping[str, bytes]
    """Files to be written, by path, in this order: missing and damaged ones first, then those that are behind."""


def is_empty(files: Files) -> bool:
    """Whether nothing that could be a CA's key is there: a new CA may be made.

    A certificate or a serial number without any key is what an interrupted creation leaves; nothing of it was ever
    reported.
    """
    return all(files.get(f"{directory}/{KEY}") is None for directory in DIRECTORIES)


def ca_from_files(files: Files) -> CardCa:
    """The CA in the six files. CertificateError when they do not hold one: the text says what is wrong with which."""
    problems: list[str] = []
    damaged: set[str] = set()
    found: tuple[str, Certificate, PrivateKey] | None = None
    for directory in reversed(DIRECTORIES):
        if found is not None and all(
            files.get(f"{COPY}/{n}") == files.get(f"{PRIMARY}/{n}") for n in (CERTIFICATE, KEY)
        ):
            break  # the usual case: what was read once need not be read again
        try:
            pair = _pair(files, directory)
        except CertificateError as error:
            problems.append(str(error))
            damaged |= {f"{directory}/{CERTIFICATE}", f"{directory}/{KEY}"}
            continue
        if found is None:
            found = directory, *pair
        elif pair[0].der != found[1].der:
            # A PC put another CA into /CA: what a person can see counts, and the copy follows.
            problems.append(f"{COPY} holds another CA")
    if found is None:
        raise CertificateError("; ".join(problems))
    directory, certificate, key = found
    serial = _next_serial(files, damaged)
    wanted = {
        CERTIFICATE: files[f"{directory}/{CERTIFICATE}"],
        KEY: files[f"{directory}/{KEY}"],
        SERIAL: serial_file_from_number(serial),
    }
    repairs: dict[str, bytes] = {}
    # What is damaged goes first: nothing is lost when writing it fails, and the other copy still stands.
    for path in sorted(paths(), key=lambda path: path not in damaged):
        content = wanted[path.rsplit("/", 1)[1]]
        if content is not None and content != files.get(path):
            repairs[path] = content
    return CardCa(certificate, key, serial, repairs)


def _pair(files: Files, directory: str) -> tuple[Certificate, PrivateKey]:
    """Certificate and key of one directory, if they are there, can be read, and belong together."""
    key_file, certificate_file = files.get(f"{directory}/{KEY}"), files.get(f"{directory}/{CERTIFICATE}")
    if key_file is None or certificate_file is None:
        missing = KEY if key_file is None else CERTIFICATE
        raise CertificateError(f"{directory}/{missing} is missing")
    try:
        certificate = certificates_from_pem(certificate_file)[0]
    except (CertificateError, IndexError):
        raise CertificateError(f"{directory}/{CERTIFICATE} holds no certificate") from None
    try:
        key = private_key_from_file(key_file)
    except CertificateError as error:
        raise CertificateError(f"{directory}/{KEY}: {error}") from None
    if certificate.spki != key.spki():
        raise CertificateError(f"{directory}/{KEY} does not belong to {CERTIFICATE}")
    if not certificate.is_ca:
        raise CertificateError(f"{directory}/{CERTIFICATE} is not the certificate of a CA")
    return certificate, key


def _next_serial(files: Files, damaged: set[str]) -> int:
    """The highest number that any readable copy names: no number below it may be issued again.

    What an interrupted ``openssl ca`` left counts, too.

    Our own numbers are safe from a forgetful card by the padding that follows them. A copy that is damaged, or missing
    beside its key, is another matter: it may have been the newer one, so numbers are left out (``SERIAL_GAP``).
    Unusable copies are added to ``damaged``.
    """
    numbers: list[int] = []
    problems: list[str] = []
    gap = 0
    for directory in DIRECTORIES:
        path = f"{directory}/{SERIAL}"
        content = files.get(path)
        try:
            if content is None:
                raise CertificateError(f"{path} is missing")
            numbers.append(serial_from_file(content))
        except CertificateError as error:
            problems.append(str(error) if content is None else f"{path}: {error}")
            damaged.add(path)
            # Without a key beside it, this directory was never finished: nobody has issued anything from it.
            if content is not None or files.get(f"{directory}/{KEY}") is not None:
                gap = SERIAL_GAP
    if not numbers:
        raise CertificateError("; ".join(problems))
    return max((max(numbers) + gap, *_left_by_pc(files)))


def _left_by_pc(files: Files) -> Iterator[int]:
    """The numbers that an interrupted ``openssl ca`` left; what is no number says nothing."""
    for path in LEFT_BY_PC:
        content = files.get(path)
        if content is not None:
            with suppress(CertificateError):
                yield serial_from_file(content)
