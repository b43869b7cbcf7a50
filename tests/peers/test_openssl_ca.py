"""The CA on the card goes to a PC and back: ``openssl ca`` with the reference text's configuration signs there, the
board signs here, in turns, and no serial number comes twice."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hil.bench import Bench
from hil.gateway import Gateway

pytestmark = [pytest.mark.peer("openssl"), pytest.mark.peer("mcopy"), pytest.mark.peer("fsck.fat")]

Require = Callable[[str], str]

ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "MTOOLSRC": os.devnull}

# The five lines of the section are the reference text's, with this system's separators; what else openssl asks for
# (a database, a place for certificates, a policy) stays on the PC.
CONFIGURATION = """\
[ my_ca_on_cf ]
cfdir = {cfdir}
certificate = $cfdir/CA/cacert.pem
private_key = $cfdir/CA/cakey.pem
serial = $cfdir/CA/serial.txt
database = {pc}/index.txt
new_certs_dir = {pc}
default_md = sha256
default_days = 365
policy = any_policy
unique_subject = no
[ any_policy ]
commonName = supplied
"""


class Pc:
    """A PC with a card reader, mtools and OpenSSL."""

    def __init__(self, place: Path, image: Path, require: Require) -> None:
        self.drive = place / "drive"
        self.image = image
        self._pc = place / "pc"
        self._require = require
        self._count = 0
        self._pc.mkdir()
        (self._pc / "index.txt").write_text("")
        (self._pc / "openssl.cnf").write_text(CONFIGURATION.format(cfdir=self.drive, pc=self._pc))

    def run(self, program: str, *words: str | Path) -> str:
        command = [self._require(program), *(str(word) for word in words)]
        done = subprocess.run(command, capture_output=True, env=ENVIRONMENT, check=False, text=True)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def sign(self, count: int = 1) -> list[int]:
        """Takes the card's files, signs, and puts them back. Gives the serial numbers."""
        self.drive.mkdir(exist_ok=True)
        self.run("mcopy", "-s", "-n", "-o", "-i", self.image, "::/CA", self.drive)
        serials = [self._sign_one() for _ in range(count)]
        self.run("mcopy", "-s", "-n", "-o", "-i", self.image, *sorted((self.drive / "CA").iterdir()), "::/CA/")
        return serials

    def _sign_one(self) -> int:
        self._count += 1
        key, request, issued = (self._pc / f"{self._count}.{end}" for end in ("key", "csr", "pem"))
        subject = f"/CN=pc{self._count}.example.com"
        words = ["-newkey", "rsa:1024", "-nodes", "-keyout", key, "-out", request, "-subj", subject]
        self.run("openssl", "req", "-new", *words)
        config = ["-config", self._pc / "openssl.cnf", "-name", "my_ca_on_cf"]
        self.run("openssl", "ca", *config, "-batch", "-notext", "-in", request, "-out", issued)
        self.run("openssl", "verify", "-no_check_time", "-CAfile", self.drive / "CA" / "cacert.pem", issued)
        return int(self.run("openssl", "x509", "-in", issued, "-noout", "-serial").strip().removeprefix("serial="), 16)

    def on_card(self, path: str) -> str:
        return self.run("mtype", "-i", self.image, f"::{path}")

    def check(self) -> None:
        self.run("fsck.fat", "-n", self.image)


class Board:
    """The gateway, with the card's image going in and out."""

    def __init__(self, bench: Bench, image: Path) -> None:
        # Today, and a minute on: what the PC makes is valid from now on.
        self.gateway: Gateway = bench.gateway("ip800", time=int(time.time()) + 60)
        self.gateway.power_on()
        self.gateway.console.login()
        self._image = image

    def with_card(self, *commands: str) -> list[str]:
        """Puts the card in, runs the commands, takes it out."""
        console = self.gateway.console
        mark = console.mark()
        self.gateway.insert_card(str(self._image), "8M")
        console.expect("card inserted: .*mounted", since=mark)
        replies = [console.run(command, timeout_ms=600_000).text for command in commands]
        self.gateway.remove_card().close()
        console.expect("card removed", since=mark)
        return replies

    def issue(self, count: int = 1) -> list[int]:
        serials = []
        for _ in range(count):
            self.with_card("x509 rootca-issue /key 1024-bit /dn-cn board.example.com")
            shown = self.gateway.console.run("x509 servercert-show /index 0 /json").json
            serials.append(int(shown["serial"], 16))
        return serials


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return tmp_path / "card.img"


@pytest.fixture
def box(bench: Bench, image: Path) -> Board:
    made = Board(bench, image)
    made.with_card("x509 rootca-create /key 1024-bit /years 10 /dn-cn Shared%20CA")
    return made


@pytest.fixture
def pc(tmp_path: Path, image: Path, require_program: Require) -> Pc:
    for program in ("openssl", "mcopy", "fsck.fat"):
        require_program(program)
    return Pc(tmp_path, image, require_program)


def test_board_and_pc_sign_in_turns_and_no_serial_number_comes_twice(box: Board, pc: Pc) -> None:
    serials = box.issue() + pc.sign(2) + box.issue(2) + pc.sign() + pc.sign() + box.issue() + pc.sign(3) + box.issue()
    assert serials == list(range(1, len(serials) + 1))
    pc.check()


def test_the_pc_may_begin(box: Board, pc: Pc) -> None:
    assert pc.sign(2) + box.issue() + pc.sign() == [1, 2, 3, 4]


def test_a_digit_more_is_no_trouble_in_either_direction(box: Board, pc: Pc) -> None:
    for directory in ("CA", "CABAK"):
        (pc.image.parent / "serial.txt").write_text("FE\n")
        pc.run("mcopy", "-o", "-i", pc.image, pc.image.parent / "serial.txt", f"::/{directory}/serial.txt")
    assert box.issue(2) + pc.sign(2) + box.issue() == [0xFE, 0xFF, 0x100, 0x101, 0x102]
    assert pc.on_card("/CA/serial.txt") == "0103\n"


def test_what_the_board_writes_is_what_openssl_reads_and_what_openssl_leaves_is_left_alone(box: Board, pc: Pc) -> None:
    pc.sign()
    old = pc.on_card("/CA/serial.txt.old")
    assert old == "01\n"
    assert box.issue() == [2]
    assert pc.on_card("/CA/serial.txt.old") == old
    assert pc.on_card("/CA/serial.txt") == pc.on_card("/CABAK/serial.txt") == "03\n"


def test_a_pc_that_forgets_to_put_the_number_back_costs_no_number_of_the_boards(box: Board, pc: Pc) -> None:
    # An older /CA comes back from the PC: the board's own copy knows better.
    kept = pc.image.parent / "kept.txt"
    kept.write_text(pc.on_card("/CA/serial.txt"))
    assert box.issue(3) == [1, 2, 3]
    pc.run("mcopy", "-o", "-i", pc.image, kept, "::/CA/serial.txt")
    assert box.issue() == [4]


def test_a_card_pulled_from_the_pc_before_it_put_its_files_in_order_costs_no_number(box: Board, pc: Pc) -> None:
    # openssl writes serial.txt.new and the certificates first, and renames the files at the end: never reached here.
    assert box.issue() + pc.sign(2) == [1, 2, 3]
    ca = pc.drive / "CA"
    (ca / "serial.txt").rename(ca / "serial.txt.new")
    (ca / "serial.txt.old").rename(ca / "serial.txt")
    pc.run("mdel", "-i", pc.image, "::/CA/serial.txt.old")
    pc.run("mcopy", "-o", "-i", pc.image, ca / "serial.txt", ca / "serial.txt.new", "::/CA/")
    assert (pc.on_card("/CA/serial.txt"), pc.on_card("/CA/serial.txt.new")) == ("03\n", "04\n")
    assert box.issue() == [4]
    assert pc.sign() + box.issue() == [5, 6]
    pc.check()


@pytest.mark.parametrize("text", ["a\n", "0a\n", "A", "00000A\n", "0A\r\n", " 0A \r\n\r\n", "000a"])
def test_a_number_as_an_editor_leaves_it_is_the_number(box: Board, pc: Pc, text: str) -> None:
    edited = pc.image.parent / "edited.txt"
    edited.write_bytes(text.encode())
    pc.run("mcopy", "-o", "-i", pc.image, edited, "::/CA/serial.txt")
    assert box.issue() + pc.sign(2) + box.issue() == [0xA, 0xB, 0xC, 0xD]
    assert pc.on_card("/CA/serial.txt") == pc.on_card("/CABAK/serial.txt") == "0E\n"


def test_a_ca_made_on_the_pc_works_on_the_board_which_makes_its_copies(box: Board, pc: Pc, bench: Bench) -> None:
    pc.run("mdeltree", "-i", pc.image, "::/CA", "::/CABAK", "::/BACKUP")
    directory = pc.drive / "CA"
    directory.mkdir(parents=True)
    words = ["-newkey", "rsa:2048", "-nodes", "-keyout", directory / "cakey.pem", "-out", directory / "cacert.pem"]
    pc.run("openssl", "req", "-x509", "-days", "9000", "-subj", "/CN=PC CA", *words)
    (directory / "serial.txt").write_text("2a\n")
    pc.run("mcopy", "-s", "-i", pc.image, directory, "::/")
    assert box.issue() == [0x2A]
    assert pc.sign() == [0x2B]
    pc.run("openssl", "pkey", "-in", directory / "cakey.pem", "-noout", "-check")
    assert pc.on_card("/CABAK/cakey.pem") == (directory / "cakey.pem").read_text()
    pc.check()
