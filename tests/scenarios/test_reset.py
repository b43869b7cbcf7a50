"""Reset button, boot code, watchdog, and power cuts while the flash is being written."""

from __future__ import annotations

import re
from typing import NoReturn

import pytest

from board.flash import Tear
from firmware.kernel import Kernel, Priority
from firmware.storage import flash_map
from hil.bench import Bench
from hil.console import Console
from hil.errors import PowerLoss
from hil.gateway import Gateway

BOOT_PROMPT = "\nboot> "


def kernel_of(board: Gateway) -> Kernel:
    """The kernel that runs on the board now."""
    kernel = board.program.kernel  # type: ignore[union-attr]
    assert isinstance(kernel, Kernel)
    return kernel


def test_a_short_press_restarts_the_firmware(console: Console, board: Gateway) -> None:
    board.press_button(300)
    console.expect("login: ")
    console.login()
    assert console.run("info /json").json["reset_cause"] == "button"


def test_uptime_counts_from_the_last_start(console: Console, board: Gateway, bench: Bench) -> None:
    bench.run_for(ms=70_000)
    assert 70 <= console.run("info /json").json["uptime_s"] <= 72
    board.press_button(300)
    console.expect("login: ")
    bench.run_for(ms=5_000)
    console.login()
    assert 5 <= console.run("info /json").json["uptime_s"] <= 7
    board.power_off()
    bench.run_for(ms=60_000)
    board.power_on()
    console.login()
    assert console.run("info /json").json["uptime_s"] <= 2


def test_a_press_of_a_few_seconds_stops_in_the_boot_code(console: Console, board: Gateway) -> None:
    board.press_button(3_000)
    console.expect("boot code: reset button held")
    console.expect(BOOT_PROMPT)
    assert board.leds()["ready"] == "orange"
    console.send_line("info")
    console.expect("firmware +11r1")
    console.expect(BOOT_PROMPT)
    console.send_line("reset")
    console.expect("login: ")
    assert board.leds()["ready"] == "green"


def test_a_press_of_ten_seconds_clears_the_configuration_but_not_the_built_in_certificate(
    console: Console, board: Gateway
) -> None:
    console.run("config change CMD /password secret1")
    console.run("config write")
    console.run("x509 servercert-create /dn-cn gone")
    console.run("x509 servercert-wait", timeout_ms=60_000)
    board.press_button(12_000)
    console.expect("boot code: configuration cleared", timeout_ms=30_000)
    console.expect(BOOT_PROMPT)
    console.send_line("reset")
    console.expect("login: ")
    console.login(password="ip800")
    assert console.run("x509 servercert-show /json").json["source"] == "builtin"


@pytest.mark.parametrize("held_ms", [10_500, 12_000, 25_000])
def test_a_button_that_stays_pressed_clears_once_and_leaves_the_board_in_the_boot_code(
    console: Console, board: Gateway, bench: Bench, held_ms: int
) -> None:
    board.press_button(held_ms)
    bench.run_for(ms=20_000)
    assert console.text.count("boot code: configuration cleared") == 1
    assert console.text.endswith("boot> ")
    assert board.board.resets == 1
    board.press_button(300)
    console.expect("login: ")


def test_a_damaged_firmware_starts_the_boot_code_which_can_repair_it(console: Console, board: Gateway) -> None:
    import base64

    from firmware import VERSION
    from firmware.storage import firmware_image

    board.power_off()
    region = flash_map(board.board.flash).firmware
    board.board.flash.writeblocks(region.first_block + 2, b"\0" * 16, 100)
    board.power_on()
    console.expect("boot code: firmware defect: .*checksum")
    console.expect(BOOT_PROMPT)
    assert board.leds()["ready"] == "red blinking"
    console.send_line("load")
    console.expect("paste firmware image in base64")
    text = base64.b64encode(firmware_image(VERSION)).decode()
    for start in range(0, len(text), 76):
        console.send_line(text[start : start + 76])
        board.bench.run_for(ms=8)
    console.send_line(".")
    console.expect("firmware 11r1.* written", timeout_ms=60_000)
    console.expect(BOOT_PROMPT)
    console.send_line("reset")
    console.expect("login: ")


def test_the_watchdog_resets_a_board_whose_task_holds_the_cpu_and_the_log_names_it(
    console: Console, board: Gateway
) -> None:
    kernel = kernel_of(board)

    async def runaway() -> None:
        while True:
            kernel.charge(kernel.cpu.hz // 10, "cipher")

    kernel.spawn(runaway(), "runaway", Priority.SERVICE)
    console.expect("login: ", timeout_ms=20_000)
    console.login()
    assert console.run("info /json").json["reset_cause"] == "watchdog"
    log = console.run("log").text
    assert re.search("watchdog: task runaway held the cpu for 5000 ms, last charge cipher", log)


def test_a_task_that_dies_restarts_the_board_and_the_log_says_why(console: Console, board: Gateway) -> None:
    async def fails() -> NoReturn:
        raise ValueError("impossible state 7")

    kernel_of(board).spawn(fails(), "fragile")
    console.expect("login: ", timeout_ms=20_000)
    console.login()
    assert console.run("info /json").json["reset_cause"] == "fault"
    assert "fault: task fragile: ValueError: impossible state 7" in console.run("log").text


def test_work_in_slices_does_not_wake_the_watchdog(console: Console, board: Gateway, bench: Bench) -> None:
    kernel = kernel_of(board)
    task = kernel.spawn(kernel.work(20 * kernel.cpu.hz, "rsa-private"), "patient", Priority.BACKGROUND)
    bench.run_for(ms=25_000)
    assert task.done
    assert board.board.resets == 0


@pytest.mark.needs_faults
@pytest.mark.parametrize("tear", list(Tear))
def test_power_cut_at_every_flash_step_of_an_installation_leaves_the_old_or_the_new_certificate(
    bench: Bench, tear: Tear
) -> None:
    """Cuts at step 1, 2, 3 ... until none fires; the board must boot with one of the two, and its key must fit."""
    cut, states = 0, 0
    while True:
        cut += 1
        gateway = bench.gateway("ip800", factory="upgraded", name=f"cut-{tear.value}-{cut}")
        gateway.power_on()
        gateway.console.login()
        gateway.console.run("x509 servercert-wait", timeout_ms=60_000)
        gateway.console.run("x509 servercert-create /dn-cn new")
        flash = gateway.board.flash
        flash.tear = tear
        left = cut

        def before_step(kind: str, address: int, size: int, gateway: Gateway = gateway) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                gateway.board.power_off()
                raise PowerLoss

        flash.before_step = before_step
        gateway.console.send_line("x509 servercert-wait")
        bench.run_until(lambda g=gateway: not g.powered or "CN=new" in g.console.text, timeout_ms=60_000)
        flash.before_step = None
        was_cut = not gateway.powered
        gateway.power_cycle()
        gateway.console.login()
        chain = gateway.console.run("x509 servercert-show /json").json["chain"]
        assert chain[0]["subject"] in ("CN=new", "CN=IP800-06-11-ac") or chain[0]["subject"].startswith("CN=IP800")
        gateway.console.run("x509 servercert-create /key reuse /dn-cn again", timeout_ms=10_000)
        assert "failed" not in gateway.console.run("x509 servercert-wait", timeout_ms=60_000).text
        states += 1
        if not was_cut:
            assert chain[0]["subject"] == "CN=new"
            break
    assert states > 3
