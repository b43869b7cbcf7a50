"""A run is recorded, and repeated exactly: each thing that can come from outside, one by one."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from board.flash import Tear
from hil.bench import Bench
from hil.cards import CardPort, image_card
from hil.errors import PowerLoss
from hil.factory import MANUFACTURER_FILE, Provisions, manufacturer, provision
from hil.gateway import Gateway
from hil.record import Record
from hil.tlsclient import TlsClient, client_context

pytestmark = pytest.mark.usefixtures("benches_closed")

MS = 1_000_000

Check = Callable[[Bench], Bench]
Boot = Callable[..., Gateway]
Told = Callable[[Bench], Record]


# What comes from outside


def test_recording_changes_nothing(booted: Boot) -> None:
    digests = []
    for record in (False, True):
        with Bench(seed=5, record=record) as bench:
            gateway = booted(bench, card="ram")
            gateway.console.run("card ls")
            with TlsClient(gateway.connect(443)) as client:
                client.handshake().request()
            digests.append(bench.trace.digest())
    assert digests[0] == digests[1]


def test_console_and_power_are_repeated(bench: Bench, repeated: Check, booted: Boot) -> None:
    gateway = booted(bench, factory="upgraded")
    gateway.console.send(b"help\r\x03\xff\x00")
    bench.run_for(ms=3)
    gateway.power_cycle()
    gateway.console.login()
    gateway.console.run("x509 servercert-wait", timeout_ms=60_000)
    repeated(bench)


def test_a_repeated_bench_goes_on_as_the_recorded_one(bench: Bench, repeated: Check, booted: Boot) -> None:
    gateway = booted(bench, card="ram")
    again = repeated(bench)
    for world in (bench, again):
        console = world.gateways[0].console
        console.login()
        console.run("x509 rootca-create /key 1024-bit /dn-cn Same", timeout_ms=600_000)
        world.run_for(ms=500)
    assert again.trace.digest() == bench.trace.digest()
    assert gateway.console.text == again.gateways[0].console.text


def test_a_repetition_is_recorded_in_its_turn(bench: Bench, repeated: Check, booted: Boot) -> None:
    gateway = booted(bench, card="ram")
    with TlsClient(gateway.connect(443)) as client:
        client.handshake().request()
    again = repeated(bench)
    again.run_for(ms=10)
    repeated(again)


def test_cards_come_and_go_with_what_the_host_wrote_on_them(bench: Bench, repeated: Check, booted: Boot) -> None:
    gateway = booted(bench)
    port = gateway.insert_card("ram", "4M")
    bench.run_for(ms=300)
    gateway.console.run("x509 rootca-create /key 1024-bit /dn-cn First", timeout_ms=600_000)
    port.remove()
    volume = port.volume()
    volume.replace("/NOTE.TXT", b"from the host")
    volume.umount()
    bench.run_for(ms=100)
    port.insert()
    bench.run_for(ms=300)
    again = repeated(bench).gateways[0]
    assert again.card is not None
    assert CardPort(again.board, again.card).read_file("/NOTE.TXT") == b"from the host"


def test_an_image_file_is_recorded_with_its_content(
    bench: Bench, repeated: Check, tmp_path: Path, booted: Boot
) -> None:
    path = tmp_path / "card.img"
    card = image_card(path, "1M")
    card.backend.writeblocks(2_047, b"\xa5" * 512)
    card.close()
    gateway = booted(bench, card=str(path))
    again = repeated(bench)
    gateway.console.run("card ls")
    assert again.gateways[0].card is not None
    assert CardPort(again.gateways[0].board, again.gateways[0].card).image[-1] == 0xA5


def test_a_flash_file_and_a_saved_gateway_begin_with_their_content(
    repeated: Check, tmp_path: Path, booted: Boot
) -> None:
    with Bench(seed=3) as bench:
        gateway = booted(bench, flash=str(tmp_path / "box.flash"), card="ram")
        gateway.console.run("x509 servercert-create /key 1024-bit /dn-cn Kept")
        gateway.console.run("x509 servercert-wait", timeout_ms=60_000)
        gateway.save(tmp_path / "saved.zip")
    with Bench(seed=4, record=True) as bench:
        booted(bench, flash=str(tmp_path / "box.flash"))
        saved = bench.gateway_from(tmp_path / "saved.zip", name="second")
        saved.power_on()
        saved.console.login()
        assert "CN=Kept" in saved.console.run("x509 servercert-show").text
        repeated(bench)


def test_a_flash_that_was_provisioned_without_power_is_so_again(bench: Bench, repeated: Check) -> None:
    gateway = bench.gateway()
    provision(gateway.board, Provisions(trusted=manufacturer().chain))
    gateway.power_on()
    gateway.console.login()
    gateway.power_off()
    gateway.board.flash.ioctl(6, 1_500)
    gateway.board.flash.writeblocks(1_500, b"by hand", 8)
    repeated(bench)


def test_the_button_and_the_wire_are_repeated(bench: Bench, repeated: Check, booted: Boot) -> None:
    gateway = booted(bench)
    gateway.press_button(300)
    gateway.board.button_part.press()
    bench.run_for(ms=1_500)
    gateway.board.button_part.release()
    bench.run_for(ms=50)
    gateway.board.button.line.drive(0)
    gateway.board.button.line.drive(1)
    gateway.board.uart.line.send_break()
    gateway.board.uart.line.send_framing_error(0x55)
    bench.run_for(ms=2_000)
    repeated(bench)


def test_a_clock_of_the_callers_is_set_to_what_it_was_set_to(repeated: Check) -> None:
    moments = iter([1_900_000_000 * 10**9, 1_900_000_777 * 10**9])
    with Bench(seed=3, record=True) as bench:
        gateway = bench.gateway(time=lambda: next(moments))
        gateway.power_on()
        gateway.power_cycle()
        gateway.console.login()
        repeated(bench)


def test_connections_are_repeated_with_their_bytes(bench: Bench, repeated: Check, booted: Boot) -> None:
    gateway = booted(bench)
    with gateway.connect(80) as client:
        client.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        client.read(10)
        client.read()
    gateway.connect(80).abort()
    assert not gateway.connect(81).wait_open()
    half = gateway.connect(80)
    half.write(b"GET ")
    half.end()
    half.read_all()
    repeated(bench)


def test_tls_clients_are_repeated_by_what_they_do(bench: Bench, repeated: Check, booted: Boot) -> None:
    gateway = booted(bench)
    contexts = (
        None,
        client_context(maximum=ssl.TLSVersion.TLSv1_2, ciphers="AES128-SHA:@SECLEVEL=0"),
        client_context(minimum=ssl.TLSVersion.TLSv1_2, ciphers="ECDHE+AESGCM:@SECLEVEL=0"),
    )
    for context in contexts:
        with TlsClient(gateway.connect(443), server_name="box", context=context) as client:
            client.handshake()
            assert client.request("GET", "/").status
            assert client.cipher
    client = TlsClient(gateway.connect(443))
    client.net.write(b"no TLS at all")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        client.handshake()
    repeated(bench)


def test_a_client_that_verifies_or_shows_a_certificate_does_so_again(
    bench: Bench, repeated: Check, tmp_path: Path, booted: Boot
) -> None:
    gateway = booted(bench)
    anchor = ssl.DER_cert_to_PEM_cert(manufacturer().leaf.der)
    context = client_context(trust_anchor=anchor, maximum=ssl.TLSVersion.TLSv1_2)
    chain = tmp_path / "client.pem"
    chain.write_bytes(MANUFACTURER_FILE.read_bytes())
    context.load_cert_chain(chain)
    chain.unlink()
    with TlsClient(gateway.connect(443), context=context) as client:
        client.handshake()
        client.request()
    repeated(bench)


def test_faults_of_the_card_and_what_they_do_are_repeated(bench: Bench, repeated: Check, booted: Boot) -> None:
    gateway = booted(bench, card="ram")
    gateway.faults.arm("error", at=3, probability=0.5)
    gateway.faults.arm("tear-head", at=60)
    gateway.console.send_line("x509 rootca-create /key 1024-bit /dn-cn Broken")
    bench.run_for(ms=20_000)
    assert gateway.faults.fired
    if gateway.card is None or not gateway.powered:
        gateway.power_off()
        gateway.power_on()
    bench.run_for(ms=1_000)
    gateway.faults.disarm()
    bench.run_for(ms=1_000)
    repeated(bench)


@pytest.mark.parametrize("fault", ["cut", "pull"])
def test_a_fault_that_ends_power_or_card_is_no_action_of_its_own(
    bench: Bench, repeated: Check, fault: str, booted: Boot, record_of: Told
) -> None:
    gateway = booted(bench, card="ram")
    gateway.faults.arm(fault, at=20)
    gateway.console.send_line("x509 rootca-create /key 1024-bit /dn-cn Broken")
    bench.run_for(ms=20_000)
    assert gateway.faults.fired
    kinds = [action.kind for action in record_of(bench).actions]
    assert (kinds.count("power"), kinds.count("remove")) == (1, 0)
    repeated(bench)


@pytest.mark.parametrize("tear", list(Tear))
@pytest.mark.parametrize("error", [PowerLoss, RuntimeError, lambda: OSError(errno.EIO, "worn out")])
def test_a_hook_that_cuts_a_step_of_the_flash_cuts_the_same_one_again(
    bench: Bench, repeated: Check, tear: Tear, error: Callable[[], BaseException], booted: Boot
) -> None:
    gateway = booted(bench)
    steps = 0

    def cut(kind: str, address: int, size_bytes: int) -> None:
        nonlocal steps
        steps += 1
        if steps == 5:
            if error is PowerLoss:
                gateway.power_off()
            raise error()

    gateway.board.flash.tear = tear
    gateway.board.flash.before_step = cut
    gateway.console.send_line("x509 servercert-create /key 1024-bit /dn-cn x")
    bench.run_for(ms=20_000)
    assert steps >= 5
    gateway.board.flash.before_step = None
    if not gateway.powered:
        gateway.power_on()
    bench.run_for(ms=100)
    repeated(bench)


def test_the_lan_is_cut_lossy_and_slow_again(bench: Bench, repeated: Check, booted: Boot) -> None:
    one, other = booted(bench), booted(bench)
    bench.lan.loss = 0.2
    bench.lan.bandwidth_mbit = 10
    bench.lan.link(one).latency_ms = 20
    bench.lan.link(other).jitter_ms = 3
    one.console.send_line(f"x509 connect {other.netbios}:443")
    bench.run_for(ms=300)
    bench.lan.cut(one, other, ms=2_000)
    bench.lan.cut(other)
    bench.run_for(ms=5_000)
    bench.lan.restore(other)
    bench.run_for(ms=20_000)
    repeated(bench)


def test_a_model_of_the_users_own_comes_with_the_record(bench: Bench, tmp_path: Path, booted: Boot) -> None:
    from board.model import MODELS

    place = tmp_path / "lab.toml"
    place.write_text((MODELS / "ip800.toml").read_text().replace('name = "ip800"', 'name = "lab"', 1))
    booted(bench, model=str(place))
    bench.save_record(tmp_path / "record.zip")
    place.unlink()
    again = Bench.repeat_of(tmp_path / "record.zip")
    assert again.gateways[0].model.name == "lab"
    assert again.trace.digest() == bench.trace.digest()
