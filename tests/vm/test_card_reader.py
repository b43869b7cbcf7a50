"""The card reader on a whole USB and SCSI stack: what a guest with a reader of its own told about each scene.

What is done is in use.py and hands.py, which run in the guest; here is what must come of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.vm

Played = Callable[[str], dict[str, Any]]

GONE = "NoCard ENODEV: /dev/sda: card is gone, pulled or changed"
UNPLUGGED = "NoCard ENODEV: /dev/sda: card is gone, reader unplugged"
SHOWN = "gatebench: /dev/sda: Gadget Card Reader, 16 MiB\n"

BETWEEN = ("nothing", "somebody_looks", "kernel_polls", "polled_and_looked")


# -- what is listed, opened and refused


def test_the_list_tells_what_is_in_the_reader(played: Played) -> None:
    facts = played("listed")
    known = {"device": "/dev/sda", "vendor": "Gadget", "model": "Card Reader", "removable": True, "usb": True}
    for moment, size_bytes, write_protected in (
        ("empty", None, False),
        ("card", 16 << 20, False),
        ("ejected", None, False),
        ("protected", 16 << 20, True),
        ("another", 32 << 20, True),
    ):
        now: dict[str, Any] = {
            "size_bytes": size_bytes,
            "write_protected": write_protected,
            "mounted": [],
            "refused": None,
        }
        assert facts[moment] == known | now, moment
    assert facts["mounted"]["mounted"] == ["/mnt/point"]
    assert facts["mounted"]["refused"] == "refused, mounted at /mnt/point"
    assert facts["line"] == "/dev/sda        16 MiB  Gadget Card Reader       removable, usb\n"


def test_it_is_opened_for_us_alone_and_known_by_name_and_size(played: Played) -> None:
    facts = played("transfers")
    assert (facts["title"], facts["size"], facts["usb"]) == ("Gadget Card Reader", 16 << 20, [True, True])
    assert facts["second"] == "CardError EBUSY: /dev/sda: in use by another program"


def test_sectors_arrive_and_no_neighbour_is_touched(played: Played) -> None:
    facts = played("transfers")
    assert facts["sectors written"] == 64
    assert facts["read back"]
    assert facts["on the card"]


def test_a_mounted_card_is_refused_and_ours_cannot_be_mounted(played: Played) -> None:
    facts = played("in_use")
    refused = "CardError EBUSY: /dev/sda: refused, mounted at /mnt/point"
    assert facts["partition mounted"] == facts["for reading"] == facts["whole mounted"] == refused
    assert facts["command"] == [3, "", "gatebench: /dev/sda: refused, mounted at /mnt/point\n"]
    assert facts["partition"] == "CardError EINVAL: /dev/sda1: a partition, the card is /dev/sda"
    assert "already mounted or mount point busy" in facts["mount of ours"]
    assert facts["afterwards"] == "done"


def test_a_write_protected_card_is_read_and_never_written(played: Played) -> None:
    facts = played("protected")
    assert (facts["protected"], facts["size"], facts["name"]) == (True, 16 << 20, "a")
    assert facts["write"].startswith("CardProtected EROFS: /dev/sda: card is write-protected")
    assert not facts["touched"]
    assert not facts["afterwards"], "the next card is not"


# -- the volume, and Linux's own


@pytest.mark.parametrize("fat", [12, 16, 32])
def test_linux_reads_byte_for_byte_what_thousands_of_operations_left(
    played: Played, told: dict[str, Any], fat: int
) -> None:
    facts, files = played("operated")[str(fat)], told["trees"][str(fat)]
    assert len(files) > 50
    assert facts["linux"] == files
    assert facts["ours"] == files


def test_linux_reads_what_we_wrote_through_the_reader(played: Played) -> None:
    facts = played("we_write_linux_reads")
    assert facts["files"] == 26
    assert facts["differ"] == []
    assert facts["strange"] == ["/CA/name", "/README.TXT"]


def test_we_read_what_linux_wrote(played: Played) -> None:
    facts = played("linux_writes_we_read")
    assert facts["files"] == 50
    assert facts["same"]
    assert facts["problems"] == []


def test_files_go_onto_the_card_and_back_by_the_command_line(played: Played) -> None:
    facts = played("by_command_line")
    assert facts["put"] == facts["get"] == [0, "", SHOWN]
    assert facts["same"]
    code, out, _ = facts["check"]
    assert (code, out.startswith("/dev/sda: clean, 3 files")) == (0, True)
    assert facts["empty"] == [3, "", "gatebench: /dev/sda: no card in the reader\n"]


# -- what hands do to it


def test_a_card_that_is_pulled_is_gone_and_the_next_one_has_to_be_opened(played: Played) -> None:
    facts = played("pulled")
    assert facts["present"] == [True, False, False]
    assert facts["read"] == facts["write"] == GONE
    assert facts["opened while empty"] == "NoCard ENOMEDIUM: /dev/sda: no card in the reader"
    assert (facts["name"], facts["name again"]) == ("bb", "a")


def test_a_card_pulled_in_the_middle_of_an_update_has_the_old_file(played: Played) -> None:
    facts = played("pulled_while_writing")
    assert facts["update"] == GONE
    assert facts["kept"]


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("access", ["write", "large write", "read", "sync", "present"])
def test_a_card_swapped_while_open_is_not_touched_whoever_looked_in_between(
    played: Played, access: str, between: str
) -> None:
    facts = played("swapped")[f"{access}, {between}"]
    assert facts["first"] == ("done: False" if access == "present" else GONE)
    assert facts["write"] == GONE
    assert not facts["present"]
    assert not facts["touched"]
    assert facts["name"] == "b", "it can be opened anew"


def test_any_other_program_would_have_written_to_the_wrong_card(played: Played) -> None:
    """The control: the kernel's word alone is not enough, once somebody has looked."""
    facts = played("swapped_under_any_other_program")
    assert facts["not looked at"].startswith("OSError EIO")
    assert facts["looked at"] == "done"
    assert facts["touched"] == [False, True]


def test_looking_at_a_card_that_stays_is_no_false_alarm(played: Played) -> None:
    facts = played("looked_at")
    assert facts["rounds"] == facts["present"] > 10


@pytest.mark.parametrize("access", ["read", "write", "sync"])
def test_a_reader_that_is_unplugged_is_gone_and_comes_back(played: Played, access: str) -> None:
    outcome, present, name = played("unplugged")[access]
    assert outcome == (GONE if access == "sync" else UNPLUGGED)
    assert not present
    assert name == "a"


def test_a_gateway_makes_its_ca_on_it_and_goes_on_when_the_card_is_pulled(played: Played) -> None:
    facts = played("gateway")
    assert facts["said before"] == []
    assert facts["said"] == ["card /dev/sda: has left its reader; card in/out takes the one that is there then"]
    assert facts["slot empty"]
    assert facts["goes on"]
    assert {"/CA/cacert.pem", "/CA/cakey.pem", "/CA/serial.txt"} <= set(facts["files"])
    assert facts["check"][0] == 0
