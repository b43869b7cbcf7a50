"""The serial port: timed to the nanosecond, overrun to the byte."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from board.clock import VirtualClock
from board.cpu import Cpu
from board.errors import BoardError
from board.trace import BoardTrace, Trace
from board.uart import CHUNK_BYTES, TX_BUFFER_BYTES, Uart

Run = Callable[[int], None]


def end_ns(number_of_bytes: int, start_ns: int = 0) -> int:
    return start_ns + number_of_bytes * 10 * 1_000_000_000 // 115_200


@pytest.fixture
def uart(clock: VirtualClock, cpu: Cpu, trace: BoardTrace) -> Uart:
    return Uart(clock, cpu, trace=trace)


@pytest.fixture
def received(clock: VirtualClock, uart: Uart) -> list[tuple[int, bytes]]:
    """What came out of the board, with its time."""
    chunks: list[tuple[int, bytes]] = []
    uart.line.on_receive(lambda data: chunks.append((clock.now_ns, data)))
    return chunks


def test_output_leaves_in_chunks_each_at_the_end_of_its_last_byte(
    clock: VirtualClock, uart: Uart, received: list[tuple[int, bytes]]
) -> None:
    text = bytes(range(160))
    assert uart.write(text) == 160
    clock.run_until(1_000_000_000)
    assert received == [(end_ns(64), text[:64]), (end_ns(128), text[64:128]), (end_ns(160), text[128:])]


def test_output_starts_at_the_local_time_of_the_cpu(
    clock: VirtualClock, cpu: Cpu, uart: Uart, received: list[tuple[int, bytes]]
) -> None:
    cpu.spend_ns(5_000_000)
    uart.write(b"x")
    clock.run_until(1_000_000_000)
    assert received == [(end_ns(1, 5_000_000), b"x")]


def test_writes_in_the_middle_of_a_transmission_follow_without_a_gap(
    clock: VirtualClock, run_until: Run, uart: Uart, received: list[tuple[int, bytes]]
) -> None:
    uart.write(b"abc")
    run_until(end_ns(1) + 5)
    uart.write(b"def")
    clock.run_until(1_000_000_000)
    assert received == [(end_ns(3), b"abc"), (end_ns(6), b"def")]


def test_the_transmit_buffer_takes_what_fits_and_then_nothing(run_until: Run, uart: Uart) -> None:
    assert uart.write(bytes(TX_BUFFER_BYTES + 10)) == TX_BUFFER_BYTES
    assert uart.write(b"x") is None
    run_until(end_ns(3))
    assert uart.write(bytes(10)) == 3


def test_txdone_and_the_interrupt_tell_when_the_last_byte_has_left(
    clock: VirtualClock, cpu: Cpu, run_until: Run, uart: Uart
) -> None:
    idle_at: list[int] = []
    uart.irq(lambda _: idle_at.append(clock.now_ns), Uart.IRQ_TXIDLE)
    uart.write(bytes(CHUNK_BYTES + 1))
    run_until(end_ns(17) - 1)
    assert not uart.txdone()
    assert idle_at == []
    run_until(end_ns(17))
    assert uart.txdone()
    assert idle_at == [end_ns(17)]


def test_flush_holds_the_cpu_until_the_last_byte_has_left(cpu: Cpu, uart: Uart) -> None:
    uart.write(b"abc")
    uart.flush()
    assert cpu.now_ns == end_ns(3)
    uart.flush()
    assert cpu.now_ns == end_ns(3), "nothing left to wait for"


def test_an_event_stands_for_up_to_64_bytes(clock: VirtualClock, uart: Uart) -> None:
    uart.write(bytes(1_600))
    steps = 0
    while clock.step():
        steps += 1
    assert steps == 25


def test_input_arrives_byte_by_byte_at_the_rate_of_the_line(run_until: Run, uart: Uart) -> None:
    uart.line.send(b"abc")
    run_until(end_ns(1) - 1)
    assert uart.any() == 0
    assert uart.read() is None
    run_until(end_ns(1))
    assert uart.any() == 1
    run_until(end_ns(3))
    assert uart.read() == b"abc"


def test_the_firmware_ahead_of_the_world_finds_what_will_have_arrived(cpu: Cpu, uart: Uart) -> None:
    uart.line.send(b"abc")
    cpu.spend_ns(end_ns(2))
    assert uart.read() == b"ab"


def test_a_key_press_interrupts_at_its_end_and_wakes_the_kernel(
    clock: VirtualClock, cpu: Cpu, run_until: Run, uart: Uart
) -> None:
    calls: list[tuple[str, int]] = []
    cpu.on_interrupt(lambda: calls.append(("kernel", clock.now_ns)))
    uart.irq(lambda _: calls.append(("handler", clock.now_ns)), Uart.IRQ_RX)
    uart.line.send(b"a")
    run_until(1_000_000)
    assert calls == [("handler", end_ns(1)), ("kernel", end_ns(1))]


def test_without_a_handler_nobody_is_interrupted(cpu: Cpu, run_until: Run, uart: Uart) -> None:
    calls: list[str] = []
    cpu.on_interrupt(lambda: calls.append("kernel"))
    uart.irq(lambda _: calls.append("handler"))
    uart.irq(None)
    uart.line.send(b"a")
    run_until(1_000_000)
    assert calls == []


def test_bytes_already_read_ahead_of_the_world_do_not_interrupt_again(cpu: Cpu, run_until: Run, uart: Uart) -> None:
    calls: list[str] = []
    uart.irq(lambda _: calls.append("handler"), Uart.IRQ_RX)
    uart.line.send(b"abc")
    cpu.spend_ns(1_000_000)
    assert uart.read() == b"abc"
    run_until(2_000_000)
    assert calls == []


def test_the_byte_behind_a_full_fifo_is_lost_and_flagged(run_until: Run, uart: Uart) -> None:
    uart.line.send(bytes(range(256)))
    run_until(end_ns(256))
    assert uart.take_flags() == frozenset()
    uart.line.send(b"!")
    run_until(end_ns(257))
    assert uart.take_flags() == {"overrun"}
    assert uart.take_flags() == frozenset()
    assert uart.read() == bytes(range(256))
    assert uart.overrun_bytes == 1


def test_room_made_just_in_time_saves_exactly_that_byte(run_until: Run, clock: VirtualClock, cpu: Cpu) -> None:
    uart = Uart(clock, cpu, rx_fifo_bytes=4)
    uart.line.send(b"abcdefgh")
    run_until(end_ns(5) - 1)
    assert uart.read(1) == b"a"
    run_until(end_ns(8))
    assert uart.read() == b"bcde"
    assert uart.take_flags() == {"overrun"}
    assert uart.overrun_bytes == 3


def test_a_break_and_a_framing_error_are_flags(run_until: Run, uart: Uart) -> None:
    calls: list[Uart] = []
    uart.irq(calls.append)
    uart.line.send_break()
    run_until(1_000_000)
    assert uart.take_flags() == {"break"}
    assert uart.read() is None
    uart.line.send_framing_error(0x55)
    run_until(2_000_000)
    assert uart.take_flags() == {"framing"}
    assert uart.read() == b"\x55"
    assert calls == [uart, uart]


def test_the_interrupt_says_what_happened(run_until: Run, uart: Uart) -> None:
    irq = uart.irq(lambda _: None)
    uart.line.send_break()
    run_until(1_000_000)
    assert irq.flags() == Uart.IRQ_BREAK


def test_a_break_that_is_a_byte_is_refused(uart: Uart) -> None:
    with pytest.raises(BoardError, match="a break of 10 bits is a byte: needs more than 10"):
        uart.line.send_break(bits=10)


def test_the_board_sends_a_break_behind_its_output(
    clock: VirtualClock, uart: Uart, received: list[tuple[int, bytes]]
) -> None:
    breaks: list[int] = []
    uart.line.on_break(lambda: breaks.append(clock.now_ns))
    uart.write(b"a")
    uart.sendbreak()
    clock.run_until(1_000_000)
    assert received == [(end_ns(1), b"a")]
    assert breaks == [end_ns(1) + 13 * 1_000_000_000 // 115_200]


def test_read_readinto_and_readline_take_their_part(run_until: Run, uart: Uart) -> None:
    uart.line.send(b"one\ntwo\nthr")
    run_until(10_000_000)
    assert uart.readline() == b"one\n"
    buffer = bytearray(8)
    assert uart.readinto(buffer, 2) == 2
    assert buffer == b"tw\0\0\0\0\0\0"
    assert uart.read(2) == b"o\n"
    assert uart.readline() == b"thr", "a line without an end is what there is"
    assert uart.readline() is None
    assert uart.readinto(buffer) is None


def test_another_rate_holds_for_what_follows_and_not_for_what_is_on_its_way(
    clock: VirtualClock, uart: Uart, received: list[tuple[int, bytes]]
) -> None:
    uart.write(b"a")
    uart.init(9_600)
    uart.write(b"b")
    clock.run_until(1_000_000_000)
    assert received == [(end_ns(1), b"a"), (end_ns(1) + 10 * 1_000_000_000 // 9_600, b"b")]


def test_parity_and_stop_bits_lengthen_the_byte(
    clock: VirtualClock, uart: Uart, received: list[tuple[int, bytes]]
) -> None:
    uart.init(115_200, bits=8, parity=0, stop=2)
    uart.write(b"a")
    clock.run_until(1_000_000_000)
    assert received == [(12 * 1_000_000_000 // 115_200, b"a")]


@pytest.mark.parametrize(("baudrate", "bits"), [(49, 8), (4_000_001, 8), (9_600, 9)])
def test_a_rate_or_frame_that_cannot_be_is_refused_and_nothing_changes(uart: Uart, baudrate: int, bits: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        uart.init(baudrate, bits)
    assert (uart.baudrate, uart.frame_bits) == (115_200, 10)


def test_a_power_cut_lets_out_the_bytes_that_have_ended_and_no_more(
    run_until: Run, uart: Uart, received: list[tuple[int, bytes]]
) -> None:
    uart.write(b"abcdef")
    uart.line.send(b"uvwxyz")
    run_until(end_ns(2) + 1)
    uart.power_off()
    uart.line.send(b"to a dead board")
    uart.write(b"from a dead board")
    run_until(1_000_000_000)
    uart.power_on()
    assert b"".join(data for _, data in received) == b"ab"
    assert uart.any() == 0


def test_a_board_that_comes_back_talks_and_listens_again(
    run_until: Run, uart: Uart, received: list[tuple[int, bytes]]
) -> None:
    uart.write(bytes(1_000))
    uart.power_off()
    run_until(1_000_000)
    uart.power_on()
    uart.write(b"new")
    uart.line.send(b"hello")
    run_until(2_000_000)
    assert received == [(end_ns(3, 1_000_000), b"new")]
    assert uart.read() == b"hello"


def test_a_cpu_reset_cuts_output_and_fifo_but_not_the_far_end(
    cpu: Cpu, run_until: Run, uart: Uart, received: list[tuple[int, bytes]]
) -> None:
    calls: list[str] = []
    uart.irq(lambda _: calls.append("handler"))
    uart.init(115_200, stop=2)
    uart.init(115_200)
    uart.write(b"abcdef")
    uart.line.send(b"uvwxyz")
    cpu.spend_ns(end_ns(2) + 1)
    uart.reset()
    run_until(1_000_000_000)
    assert b"".join(data for _, data in received) == b"ab"
    assert uart.read() == b"wxyz"
    assert calls == [], "the handler belonged to the firmware that is gone"


def test_several_may_listen_and_one_may_leave(run_until: Run, uart: Uart) -> None:
    first, second = bytearray(), bytearray()
    leave = first.extend
    uart.line.on_receive(leave)
    uart.line.on_receive(second.extend)
    uart.write(b"a")
    run_until(1_000_000)
    uart.line.detach(leave)
    uart.write(b"b")
    run_until(2_000_000)
    assert (bytes(first), bytes(second)) == (b"a", b"ab")
    with pytest.raises(BoardError, match="not attached"):
        uart.line.detach(leave)


def test_the_trace_holds_sizes_and_no_content(run_until: Run, uart: Uart, events: Trace) -> None:
    uart.write(b"secret")
    uart.line.send(b"xy")
    run_until(10_000_000)
    uart.read()
    assert [event[2:] for event in events] == [("uart", "uart0.rx", 2), ("uart", "uart0.tx", 6)]
