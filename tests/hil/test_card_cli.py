"""``gatebench card`` as a user types it: what it prints, its exit codes, and that nothing is left half done."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cfcard import ImageDevice, RamDevice
from cfcard.fat import Fat
from cfcard.layout import README
from hil.cli.card import add_parser

Cli = Callable[..., int]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs ``gatebench card ...`` in an empty directory and gives the exit code."""
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser(prog="gatebench")
    add_parser(parser.add_subparsers(required=True))

    def run(*words: str) -> int:
        try:
            args = parser.parse_args(["card", *words])
        except SystemExit as stop:
            return int(stop.code or 0)
        return int(args.run(args))

    return run


@pytest.mark.parametrize("options", [[], ["--fat", "12", "--size", "8M"], ["--size", "1G"], ["--layout", "mbr"]])
def test_new_card_holds_the_directories_and_a_note(
    cli: Cli, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("new", "card.img", *options) == 0
    assert cli("ls", "card.img") == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == [
        "CA/",
        "CABAK/",
        "BACKUP/",
        "README.TXT",
    ]
    assert cli("get", "card.img", "/README.TXT") == 0
    assert Path("README.TXT").read_bytes() == README
    assert cli("check", "card.img") == 0
    assert "clean, 1 file, 3 directories" in capsys.readouterr().out


def test_image_on_the_host_is_sparse(cli: Cli) -> None:
    assert cli("new", "card.img", "--size", "4G") == 0
    assert os.stat("card.img").st_size == 4 << 30
    assert os.stat("card.img").st_blocks * 512 < 32 << 20


def test_the_largest_card_passes_its_check(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("new", "card.img", "--size", "256G") == 0
    assert cli("check", "card.img") == 0
    assert "clean, 1 file" in capsys.readouterr().out


def test_put_get_ls_rm_go_round(cli: Cli, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    content = os.urandom(5000)
    Path("my own cert.pem").write_bytes(content)
    assert cli("new", "card.img") == 0
    assert cli("put", "card.img", "my own cert.pem", "/CA") == 0
    assert cli("put", "card.img", "my own cert.pem", "/CA/second.pem") == 0
    assert cli("get", "card.img", "/CA/my own cert.pem", "-") == 0
    assert capsysbinary.readouterr().out == content
    Path("out").mkdir()
    assert cli("get", "card.img", "/ca/SECOND.PEM", "out") == 0
    assert Path("out/SECOND.PEM").read_bytes() == content
    assert cli("ls", "card.img", "/CA/second.pem") == 0
    assert b"5000  second.pem" in capsysbinary.readouterr().out
    assert cli("rm", "card.img", "/CA/second.pem") == 0
    assert cli("rm", "card.img", "/CA") == 1, "not empty"
    assert cli("rm", "card.img", "/CA/my own cert.pem") == 0
    assert cli("rm", "card.img", "/CA") == 0
    assert cli("check", "card.img") == 0


def test_info_says_what_it_is(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("new", "card.img", "--layout", "mbr") == 0
    assert cli("info", "card.img") == 0
    out = capsys.readouterr().out
    assert "67108864 bytes, 131072 sectors" in out
    assert "1024 cylinders, 4 heads, 32 sectors per track" in out
    assert "mbr, partition from sector 2048" in out
    assert "FAT16, 2 FATs" in out
    assert "state     clean" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["new", "card.img"], 3, "gatebench: card.img: file exists"),
        (["new", "none/card.img"], 3, "gatebench: none/card.img: no such file or directory"),
        (["new", "x.img", "--fat", "32", "--size", "1M"], 2, "gatebench: x.img: FAT32 is not possible on 2048 sectors"),
        (["new", "x.img", "--fat", "16", "--size", "4G"], 2, "gatebench: x.img: FAT16 is not possible on"),
        (["new", "x.img", "--size", "64X"], 2, "card size '64X': must be 512K to 256G in whole sectors"),
        (["new", "x.img", "--size", "1K"], 2, "512K to 256G"),
        (["new", "x.img", "--size", "257G"], 2, "card size '257G': must be 512K to 256G"),
        (["new", "x.img", "--size", "700001"], 2, "whole sectors"),
        (["new", "x.img", "--fat", "13"], 2, "invalid choice"),
        ([], 2, "required"),
        (["ls", "none.img"], 3, "gatebench: none.img: no such file or directory"),
        (["ls", "odd.img"], 3, "gatebench: odd.img: not a card image, size 700 is not a multiple of 512"),
        (["ls", "zero.img"], 1, "gatebench: zero.img: boot sector: expected signature 55AA at 510, found 0000"),
        (["ls", "."], 3, "gatebench: .: "),
        (["ls", "card.img", "/none"], 1, "gatebench: /none: no such file or directory"),
        (["get", "card.img", "/none"], 1, "gatebench: /none: no such file or directory"),
        (["get", "card.img", "/CA"], 1, "gatebench: /CA: is a directory"),
        (["get", "card.img", "/README.TXT", "none/out"], 3, "gatebench: none/out: no such file or directory"),
        (["put", "card.img", "none.pem", "/CA"], 3, "gatebench: none.pem: no such file or directory"),
        (["put", "card.img", "odd.img", "/none/x"], 1, "gatebench: /none: no such file or directory"),
        (["put", "card.img", "odd.img", "/a:b"], 1, "gatebench: a:b: character ':' is not allowed in a file name"),
        (["put", "card.img", "zero.img", "/CA/"], 1, "gatebench: card.img: volume is full"),
        (["rm", "card.img", "/none"], 1, "gatebench: /none: no such file or directory"),
    ],
)
def test_bad_input_is_one_clear_line_and_changes_nothing(
    cli: Cli, words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("new", "card.img", "--size", "512K") == 0
    Path("odd.img").write_bytes(bytes(700))
    Path("zero.img").write_bytes(bytes(1 << 20))
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    assert cli(*words) == code
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
    if err.startswith("gatebench"):
        assert err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.parametrize("command", [["ls"], ["check"], ["info"], ["rm", "x"], ["put", "x"]])
def test_a_pipe_in_place_of_an_image_is_refused_and_not_waited_for(
    cli: Cli, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    os.mkfifo("pipe")
    Path("x").write_bytes(b"")
    words = [command[0], "pipe", *command[1:], *(["/x"] if command[0] == "put" else [])]
    assert cli(*words) == 3
    assert capsys.readouterr().err == "gatebench: pipe: not a regular file\n"


def test_names_that_damage_left_are_listed_and_do_not_reach_the_terminal_as_they_are(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("new", "card.img", "--size", "4M") == 0
    data = Path("card.img").read_bytes()
    assert data.count(b"README  TXT") == 1
    Path("card.img").write_bytes(data.replace(b"README  TXT", b"R\x1b/\nME  TXT"))
    assert cli("ls", "card.img") == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[-1].endswith(r"R\x1b/\nME.TXT")
    assert len(shown.splitlines()) == 4
    assert cli("ls", "card.img", "/\x1b[2J\n") == 1
    assert capsys.readouterr().err == "gatebench: /\\x1b[2J\\n: no such file or directory\n"


def test_image_in_use_is_refused(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("new", "card.img") == 0
    device = ImageDevice("card.img")
    try:
        assert cli("ls", "card.img") == 3
        assert "gatebench: card.img: in use by another run" in capsys.readouterr().err
    finally:
        device.close()
    assert cli("ls", "card.img") == 0


def test_check_names_the_damage(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("new", "card.img") == 0
    device = ImageDevice("card.img")
    bpb = Fat().mount(device).bpb
    sector = bytearray(512)
    lba = bpb.reserved + bpb.fat_sectors
    device.readblocks(lba, sector)
    sector[20] ^= 1
    device.writeblocks(lba, sector)
    device.close()
    assert cli("check", "card.img") == 1
    assert capsys.readouterr().out == (
        "card.img: FAT copies: expected the same, found 1 sectors different, the first is 0\n"
    )


def test_every_new_card_has_a_serial_of_its_own(cli: Cli) -> None:
    serials = set()
    for name in ("one.img", "two.img"):
        assert cli("new", name) == 0
        device = ImageDevice(name, writable=False)
        serials.add(Fat().mount(device).serial)
        device.close()
    assert len(serials) == 2
    assert Fat().check(RamDevice(512)).clean is False
