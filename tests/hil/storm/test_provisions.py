"""What the factory writes into a board's flash before it gets power, the firmware finds there."""

from __future__ import annotations

import pytest

from firmware.pbx.devices import DeviceEntry
from hil.bench import Bench
from hil.errors import RackMisuse
from hil.factory import Provisions, manufacturer, provision


def test_a_provisioned_board_has_certificate_trust_entries_and_settings_at_its_first_start(bench: Bench) -> None:
    board = bench.gateway("ip800", factory="upgraded")
    devices = [DeviceEntry(f"IP232-00-00-{number:02x}", f"u{number}", True) for number in range(20)]
    settings = {"X509": {"expiry-days": "7"}}
    provision(board.board, Provisions(manufacturer(), manufacturer().chain, devices, settings))
    board.power_on()
    console = board.console
    console.login()
    shown = console.run("x509 servercert-show /json").json
    assert shown["chain"][0]["subject"].startswith("CN=gatebench Device Certification Authority")
    assert len(console.run("x509 trust-list /json").json) == 1
    assert len(console.run("pbx device-list /json").json) == 20
    assert "/expiry-days 7" in console.run("config show").text


def test_provisioning_takes_none_of_the_worlds_time(bench: Bench) -> None:
    board = bench.gateway("ip800", factory="upgraded").board
    provision(board, Provisions(manufacturer(), manufacturer().chain))
    assert (bench.now_ns, board.cpu.now_ns) == (0, 0)
    assert board.flash.program_ns == board.model.flash_program_ns


def test_provisioning_keeps_what_is_there(bench: Bench) -> None:
    board = bench.gateway("ip800")
    provision(board.board, Provisions(trusted=manufacturer().chain))
    board.power_on()
    board.console.login()
    shown = board.console.run("x509 servercert-show /json").json
    assert shown["chain"][0]["subject"].startswith(f"CN={board.mac.hex()}")


def test_a_board_with_power_cannot_be_provisioned(bench: Bench) -> None:
    board = bench.gateway("ip800")
    board.power_on()
    with pytest.raises(RackMisuse, match="while the board has power"):
        provision(board.board, Provisions())


def test_two_boards_of_a_model_do_not_share_flash(bench: Bench) -> None:
    first, second = bench.gateway("ip800", factory="upgraded"), bench.gateway("ip800", factory="upgraded")
    provision(first.board, Provisions(manufacturer()))
    assert first.flash_image != second.flash_image
