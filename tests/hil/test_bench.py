"""The bench: gateways in one world, what hands do to them, and runs that repeat."""

from __future__ import annotations

import gc
import hashlib
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from board import BoardError
from hil.bench import Bench
from hil.errors import DeviceFailure, EnvironmentRefused, RackMisuse
from hil.streams import Streams


def test_hil_gives_the_bench_and_its_errors_by_name() -> None:
    import hil

    assert hil.Bench is Bench
    assert hil.DeviceFailure is DeviceFailure
    with pytest.raises(AttributeError, match="bank"):
        _ = hil.bank  # type: ignore[attr-defined]


def test_the_first_gateway_is_the_reference_texts_and_the_next_ones_count_up(fake_bench: Bench) -> None:
    first, second = fake_bench.gateway(), fake_bench.gateway("ip305")
    assert (first.netbios, second.netbios) == ("IP800-06-11-ac", "IP305-06-11-ad")
    assert first.mac == bytes.fromhex("0090330611ac")


def test_two_gateways_share_one_clock_and_keep_their_consoles_apart(fake_bench: Bench) -> None:
    one, two = fake_bench.gateway(), fake_bench.gateway()
    one.power_on()
    fake_bench.run_for(ms=50)
    two.power_on()
    two.console.login()
    assert b"password" not in one.console.data
    assert two.console.time_ns_at(0) >= 50_000_000


def test_names_are_checked_and_unique(fake_bench: Bench) -> None:
    fake_bench.gateway(name="left")
    with pytest.raises(RackMisuse, match="another gateway"):
        fake_bench.gateway(name="left")
    with pytest.raises(RackMisuse, match="must be 1 to 64"):
        fake_bench.gateway(name="../x")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"model": "ip999"}, "no model 'ip999'"),
        ({"factory": "v8"}, "factory state 'v8'"),
        ({"time": "yesterday"}, "time 'yesterday'"),
        ({"time": "1969-12-31T23:59:59Z"}, "must be 1970 to 2099"),
        ({"time": -1}, "must be 1970 to 2099"),
        ({"card": "ram", "card_size": "7"}, "card size '7'"),
        ({"model": "ip232", "card": "ram"}, "no card slot"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(fake_bench: Bench, arguments: dict[str, str], reason: str) -> None:
    with pytest.raises(RackMisuse, match=reason) as caught:
        fake_bench.gateway(**arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert not fake_bench.gateways


@pytest.mark.parametrize(
    ("time", "year"),
    [("2031-05-06T07:08:09Z", 2031), ("2031-05-06T07:08:09+02:00", 2031), (1_935_817_689, 2031), ("unset", 1970)],
)
def test_the_clock_is_set_at_power_on(fake_bench: Bench, time: str | int, year: int) -> None:
    gateway = fake_bench.gateway(time=time)
    gateway.power_on()
    fake_bench.run_for(ms=10)
    found = gateway.board.rtc.datetime()
    assert found is not None
    assert found[0] == year


def test_time_goes_on_over_a_power_cut_unless_it_was_never_set(fake_bench: Bench) -> None:
    kept, lost = fake_bench.gateway(time="2026-01-01T00:00:00Z"), fake_bench.gateway(time="unset")
    for gateway in (kept, lost):
        gateway.power_on()
    fake_bench.run_for(ms=3_600_000)
    for gateway in (kept, lost):
        gateway.power_cycle(1_000)
    assert kept.board.rtc.datetime()[:5] == (2026, 1, 1, 3, 1)  # type: ignore[index]
    assert lost.board.rtc.datetime()[:3] == (1970, 1, 1)  # type: ignore[index]


def test_power_twice_is_the_racks_mistake(fake_bench: Bench) -> None:
    gateway = fake_bench.gateway()
    gateway.power_on()
    with pytest.raises(BoardError, match="on already"):
        gateway.power_on()


def test_state_is_what_can_be_seen_from_outside(fake_bench: Bench) -> None:
    gateway = fake_bench.gateway(card="ram")
    assert gateway.state()["boot"] == "off"
    gateway.power_on()
    gateway.console.login()
    state = gateway.state()
    assert (state["power"], state["card"], state["boot"], state["name"]) == (1, 1, "operational", "IP800-06-11-ac")
    assert state["leds"]["ready"] == "green"
    assert state["services"] == {"http": True, "https": False, "sips": False, "sip": False, "h323": False}
    gateway.power_off()
    assert (gateway.state()["power"], gateway.state()["leds"]["ready"]) == (0, "off")


def test_the_button_is_pressed_and_let_go(fake_bench: Bench) -> None:
    gateway = fake_bench.gateway()
    gateway.power_on()
    levels: list[int] = []
    gateway.board.button.line.on_change(levels.append)
    gateway.press_button(500)
    assert levels == [0, 1]


def test_run_until_stops_at_the_event_and_says_when_it_was_too_late(fake_bench: Bench) -> None:
    gateway = fake_bench.gateway()
    gateway.power_on()
    assert fake_bench.run_until(lambda: gateway.leds()["ready"] == "green")
    assert fake_bench.now_ns < 10_000_000
    assert not fake_bench.run_until(lambda: False, timeout_ms=500)


def _digest(bench: Bench) -> str:
    gateway = bench.gateway(card="ram")
    gateway.power_on()
    gateway.console.login()
    gateway.console.run("say hello")
    gateway.remove_card()
    gateway.power_cycle()
    gateway.console.login()
    return bench.trace.digest()


def test_the_same_run_twice_has_the_same_trace_and_another_one_has_not(make_fake_bench: Callable[..., Bench]) -> None:
    assert _digest(make_fake_bench(1)) == _digest(make_fake_bench(1))
    other = make_fake_bench(1)
    other.run_for(ms=1)
    assert _digest(other) != _digest(make_fake_bench(1))


# Streams


def test_a_seeded_stream_depends_on_seed_and_name_alone() -> None:
    one, two = Streams(1), Streams(1)
    one("a/uart").randbytes(100)
    assert one("b/tls").randbytes(8) == two("b/tls").randbytes(8)
    assert two("a/uart").randbytes(8) != two("b/tls").randbytes(8)
    assert Streams(2)("a/uart").randbytes(8) != Streams(1)("a/uart").randbytes(8)


def test_a_seeded_stream_is_the_same_on_every_python() -> None:
    assert Streams(7)("x").randbytes(6).hex() == "d23798f0d921"


def test_a_stream_goes_on_when_it_is_asked_for_again() -> None:
    streams = Streams(1)
    first = streams("a").randbytes(8)
    assert streams("a").randbytes(8) != first


def test_only_streams_of_the_operating_system_are_secret() -> None:
    assert not Streams(1)("a").secret
    assert Streams(None)("a").secret
    assert Streams(None)("a").randbytes(16) != Streams(None)("a").randbytes(16)


# Cards


def test_a_ram_card_is_formatted_and_can_be_read_from_the_host(fake_bench: Bench) -> None:
    gateway = fake_bench.gateway()
    card = gateway.insert_card("ram")
    assert {"CA", "CABAK"} <= set(card.listing())
    assert card.check() == ()
    card.volume().replace("/CA/serial.txt", b"01")
    assert card.read_file("/CA/serial.txt") == b"01"


def test_a_card_goes_in_and_out_and_the_board_has_only_one_slot(fake_bench: Bench) -> None:
    gateway = fake_bench.gateway()
    card = gateway.insert_card("ram")
    assert card.inserted
    with pytest.raises(RackMisuse, match="remove it first"):
        gateway.insert_card("ram")
    card.remove()
    assert not card.inserted
    with pytest.raises(RackMisuse, match="not in the slot"):
        card.remove()
    card.insert()
    assert gateway.card is card.card


def test_a_card_image_is_made_when_it_is_missing_and_used_when_it_is_there(fake_bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "card.img"
    gateway = fake_bench.gateway(card=str(path), card_size="4M")
    assert path.stat().st_size == 4 * 1024**2
    gateway.remove_card().close()
    before = hashlib.sha256(path.read_bytes()).digest()
    again = gateway.insert_card(str(path), "8M")
    assert hashlib.sha256(again.image).digest() == before


def test_a_file_that_is_no_card_image_is_refused_and_left_alone(fake_bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a card")
    with pytest.raises(EnvironmentRefused, match="not a multiple of 512"):
        fake_bench.gateway(card=str(path))
    assert path.read_text() == "not a card"


# Flash files


def test_a_flash_file_is_made_whole_and_keeps_what_was_written(
    make_fake_bench: Callable[..., Bench], tmp_path: Path
) -> None:
    path = tmp_path / "box.flash"
    gateway = make_fake_bench().gateway(flash=str(path))
    assert path.stat().st_size == gateway.model.flash_bytes
    gateway.board.flash.writeblocks(3, b"kept")
    gateway.close()
    assert path.read_bytes()[3 * 4096 :][:5] == b"kept\xff"
    second = make_fake_bench().gateway(flash=str(path))
    content = bytearray(4)
    second.board.flash.readblocks(3, content)
    assert content == b"kept"


def test_a_flash_file_of_the_wrong_size_is_refused_with_both_sizes_and_left_alone(
    fake_bench: Bench, tmp_path: Path
) -> None:
    path = tmp_path / "box.flash"
    path.write_bytes(b"short")
    with pytest.raises(EnvironmentRefused, match=r"has 5 bytes, the chip of this model has \d+$"):
        fake_bench.gateway(flash=str(path))
    assert path.read_bytes() == b"short"


def test_a_flash_file_in_use_is_refused(make_fake_bench: Callable[..., Bench], tmp_path: Path) -> None:
    path = str(tmp_path / "box.flash")
    make_fake_bench().gateway(flash=path)
    with pytest.raises(EnvironmentRefused, match="in use by another run"):
        make_fake_bench().gateway(flash=path)


# The network, from outside


def test_a_peer_talks_to_the_board_in_virtual_time(fake_bench: Bench) -> None:
    gateway = fake_bench.gateway()
    gateway.power_on()
    gateway.console.expect("login: ")
    with gateway.connect(80) as peer:
        peer.write(b"hello")
        assert peer.read() == b"echo:hello"
        peer.end()
        assert peer.read() == b""


def test_a_port_that_nobody_listens_at_refuses(fake_bench: Bench) -> None:
    gateway = fake_bench.gateway()
    gateway.power_on()
    gateway.console.expect("login: ")
    peer = gateway.connect(443)
    assert not peer.wait_open()
    assert peer.status == "refused"


def test_a_peer_sees_the_reset_when_power_goes_and_the_silence_when_nothing_comes(fake_bench: Bench) -> None:
    gateway = fake_bench.gateway()
    gateway.power_on()
    gateway.console.expect("login: ")
    peer = gateway.connect(80)
    assert peer.wait_open()
    with pytest.raises(DeviceFailure, match="within 20 ms"):
        peer.read(timeout_ms=20)
    gateway.power_off()
    with pytest.raises(ConnectionResetError):
        peer.read()


@pytest.mark.parametrize("factory", ["v7", "upgraded"])
def test_nothing_is_left_in_memory_of_a_bench_that_was_closed(factory):
    with Bench(seed=1) as bench:
        gateway = bench.gateway(factory=factory, card="ram")
        gateway.power_on()
        bench.run_for(ms=1_003)
    alive = weakref.ref(bench)
    del bench, gateway
    gc.collect()
    assert alive() is None
