"""Connections of one board: listening, refusing, bytes in order and in time, windows, and every way to end."""

from __future__ import annotations

import errno

import pytest

from board.ethernet import FIRST_EPHEMERAL_PORT, LATENCY_NS, WINDOW_BYTES, Ethernet, Outside, Stream, join

US = 1_000


@pytest.fixture
def ethernet(clock, cpu):
    return Ethernet(clock, cpu, "gw")


@pytest.fixture
def accepted():
    """The board's ends of the connections that it accepted."""
    return []


@pytest.fixture
def pair(clock, ethernet, accepted):
    """An open connection: the board's end, and the other one."""
    ethernet.listen(443, accepted.append)
    theirs = ethernet.accept("pc:50000", 443)
    clock.run_for(2 * LATENCY_NS)
    return accepted[0], theirs


def settle(clock):
    clock.run_for(10 * LATENCY_NS)


def test_a_connection_is_open_on_both_sides_after_the_way_there_and_back(clock, ethernet, accepted):
    ethernet.listen(443, accepted.append)
    theirs = ethernet.accept("pc:50000", 443)
    clock.run_until(LATENCY_NS - 1)
    assert accepted == []
    clock.run_until(LATENCY_NS)
    (ours,) = accepted
    assert (ours.status, theirs.status) == ("open", "connecting")
    clock.run_until(2 * LATENCY_NS)
    assert theirs.status == "open"
    assert (ours.peer, theirs.peer) == ("pc:50000", "gw:443")


def test_where_nobody_listens_connections_are_refused(clock, ethernet):
    theirs = ethernet.accept("pc:50000", 443)
    clock.run_until(2 * LATENCY_NS - 1)
    assert theirs.status == "connecting"
    clock.run_until(2 * LATENCY_NS)
    assert theirs.status == "refused"
    assert theirs.read() == b""


def test_a_port_that_is_closed_refuses_while_open_connections_live_on(clock, ethernet, accepted):
    listener = ethernet.listen(443, accepted.append)
    first = ethernet.accept("pc:1", 443)
    settle(clock)
    listener.close()
    second = ethernet.accept("pc:2", 443)
    settle(clock)
    assert (first.status, second.status) == ("open", "refused")


def test_a_port_is_listened_at_only_once_until_it_is_closed(ethernet):
    listener = ethernet.listen(443, print)
    with pytest.raises(OSError, match="port 443 is in use") as caught:
        ethernet.listen(443, print)
    assert caught.value.errno == errno.EADDRINUSE
    listener.close()
    ethernet.listen(443, print)
    listener.close()
    assert ethernet.ports == {443}, "closing the old one again does not close the new one"


def test_whoever_watches_hears_of_ports_that_open_and_close(ethernet):
    seen = []
    ethernet.watch(lambda port, listening: seen.append((port, listening)))
    ethernet.listen(80, print).close()
    assert seen == [(80, True), (80, False)]


def test_bytes_arrive_in_order_after_the_latency(clock, pair):
    ours, theirs = pair
    began_ns = clock.now_ns
    for piece in (b"one ", b"two ", b"three"):
        assert theirs.write(piece) == len(piece)
    clock.run_until(began_ns + LATENCY_NS - 1)
    assert ours.read() is None
    clock.run_until(began_ns + LATENCY_NS)
    assert ours.any() == 13
    assert ours.read(5) == b"one t"
    assert ours.read() == b"wo three"
    assert ours.read() is None


def test_bytes_leave_at_the_time_of_the_cpu_that_sends_them(clock, cpu, pair):
    ours, theirs = pair
    cpu.now_ns = clock.now_ns
    cpu.spend_ns(500 * US)
    ours.write(b"late")
    clock.run_until(cpu.now_ns + LATENCY_NS - 1)
    assert theirs.read() is None
    clock.run_for(1)
    assert theirs.read() == b"late"


def test_bytes_do_not_overtake_even_if_the_senders_time_was_set_back(clock, cpu, pair):
    ours, theirs = pair
    cpu.now_ns = clock.now_ns + 500 * US
    ours.write(b"first ")
    cpu.now_ns = clock.now_ns
    ours.write(b"second")
    clock.run_for(499 * US)
    assert theirs.read() is None
    settle(clock)
    assert theirs.read() == b"first second"


def test_what_arrives_interrupts_the_cpu_after_its_handler(clock, cpu, pair):
    ours, theirs = pair
    calls = []
    cpu.on_interrupt(lambda: calls.append("cpu"))
    ours.irq(lambda: calls.append(ours.read()))
    theirs.write(b"x")
    settle(clock)
    assert calls == [b"x", "cpu"]


def test_a_full_window_takes_no_more_until_the_reader_has_read_and_that_is_known(clock, pair):
    ours, theirs = pair
    calls = []
    assert theirs.write(bytes(WINDOW_BYTES - 1)) == WINDOW_BYTES - 1
    assert theirs.write(b"abc") == 1
    assert theirs.write(b"bc") == 0
    settle(clock)
    theirs.irq(lambda: calls.append(clock.now_ns))
    began_ns = clock.now_ns
    assert len(ours.read(1_000)) == 1_000
    assert theirs.write(b"bc") == 0, "news of the room is still on its way"
    clock.run_until(began_ns + LATENCY_NS)
    assert calls == [began_ns + LATENCY_NS]
    assert theirs.write(bytes(2_000)) == 1_000


def test_room_is_told_only_to_who_wanted_some(clock, pair):
    ours, theirs = pair
    calls = []
    theirs.irq(lambda: calls.append("irq"))
    theirs.write(b"small")
    settle(clock)
    ours.read()
    settle(clock)
    assert calls == []


@pytest.mark.parametrize("ends_first", [0, 1])
def test_one_direction_can_end_while_the_other_goes_on(clock, pair, ends_first):
    one, other = pair[ends_first], pair[1 - ends_first]
    one.write(b"that is all")
    one.end()
    settle(clock)
    assert other.read() == b"that is all"
    assert other.read() == b""
    assert (one.status, other.status) == ("open", "open")
    other.write(b"my part")
    settle(clock)
    assert one.read() == b"my part"
    with pytest.raises(OSError) as caught:
        one.write(b"more")
    assert caught.value.errno == errno.EPIPE


def test_a_connection_is_closed_when_both_directions_have_ended_and_is_read_to_its_end(clock, pair):
    ours, theirs = pair
    theirs.write(b"bye")
    theirs.end()
    ours.end()
    settle(clock)
    assert (ours.status, theirs.status) == ("closed", "closed")
    assert ours.read() == b"bye"
    assert ours.read() == theirs.read() == b""


def test_who_ends_last_has_closed_at_once(clock, pair):
    ours, theirs = pair
    theirs.end()
    settle(clock)
    ours.end()
    assert (ours.status, theirs.status) == ("closed", "open")
    settle(clock)
    assert theirs.status == "closed"


def test_who_closes_and_is_sent_more_answers_with_a_reset(clock, pair):
    ours, theirs = pair
    ours.write(b"last words")
    ours.close()
    settle(clock)
    assert theirs.read() == b"last words"
    assert theirs.read() == b""
    theirs.write(b"are you there?")
    settle(clock)
    assert theirs.status == "reset"
    assert ours.status == "closed"


def test_closing_twice_is_closing_once(clock, pair):
    ours, theirs = pair
    ours.close()
    ours.close()
    ours.abort()
    settle(clock)
    assert (ours.status, theirs.status) == ("closed", "open")
    assert theirs.read() == b""


def test_a_reset_comes_behind_what_was_sent_and_takes_what_was_not_read(clock, pair):
    ours, theirs = pair
    seen = []
    theirs.irq(lambda: seen.append((theirs.status, theirs.any())))
    ours.write(b"secret")
    ours.abort()
    settle(clock)
    assert seen == [("open", 6), ("reset", 0)]
    assert theirs.read() == b""
    with pytest.raises(OSError) as caught:
        theirs.write(b"x")
    assert caught.value.errno == errno.EPIPE


def test_nothing_can_be_written_before_the_connection_is_open(ethernet):
    ethernet.listen(443, print)
    with pytest.raises(OSError, match="connection to gw:443 is connecting"):
        ethernet.accept("pc:1", 443).write(b"x")


@pytest.mark.parametrize("give_up", [Stream.close, Stream.abort])
def test_a_connection_given_up_while_it_is_made_leaves_no_half_of_itself_behind(clock, ethernet, accepted, give_up):
    ethernet.listen(443, accepted.append)
    theirs = ethernet.accept("pc:1", 443)
    give_up(theirs)
    settle(clock)
    assert accepted[0].status == "reset"


def test_a_connection_to_nowhere_is_refused(clock, ethernet):
    stream = ethernet.connect("192.0.2.1", 5061)
    assert stream.status == "connecting"
    settle(clock)
    assert stream.status == "refused"


def test_a_connection_from_the_board_goes_to_whoever_carries_them(clock, cpu, ethernet):
    asked = []
    ethernet.on_connect(lambda stream, host, port: asked.append((stream, host, port, clock.now_ns)))
    cpu.spend_ns(700)
    ours = ethernet.connect("pbx", 5061)
    settle(clock)
    assert asked == [(ours, "pbx", 5061, 700 + LATENCY_NS)]
    theirs = Stream(clock, Outside(clock), "gw:1", 5061, LATENCY_NS)
    join(theirs, ours)
    settle(clock)
    assert ours.status == "open"
    ours.write(b"REGISTER")
    settle(clock)
    assert theirs.read() == b"REGISTER"


def test_two_boards_talk_when_one_lan_admits_what_the_other_begins(clock, cpu, ethernet, accepted):
    other = Ethernet(clock, Outside(clock), "other")
    other.listen(5061, accepted.append)
    ethernet.on_connect(lambda stream, host, port: other.admit(stream, f"gw:{stream.local_port}", port))
    ours = ethernet.connect("other", 5061)
    refused = ethernet.connect("other", 1300)
    settle(clock)
    assert (ours.status, refused.status) == ("open", "refused")
    assert accepted[0].peer == f"gw:{FIRST_EPHEMERAL_PORT}"


def test_a_connection_given_up_before_it_left_never_leaves(clock, ethernet):
    asked = []
    ethernet.on_connect(lambda stream, host, port: asked.append(host))
    ethernet.connect("pbx", 5061).close()
    settle(clock)
    assert asked == []


def test_why_a_connection_failed_is_an_errno_and_nothing_while_it_has_not(clock, ethernet, pair):
    ours, theirs = pair
    refused = ethernet.accept("pc:2", 80)
    settle(clock)
    assert (theirs.failure, refused.failure) == (0, errno.ECONNREFUSED)
    ours.abort()
    settle(clock)
    assert (ours.failure, theirs.failure) == (0, errno.ECONNRESET)


def test_connections_that_are_over_are_not_kept(clock, ethernet, accepted):
    ethernet.listen(443, accepted.append)
    for ending in (Stream.abort, Stream.close, Stream.end):
        theirs = ethernet.accept("pc:1", 443)
        settle(clock)
        ending(theirs)
        settle(clock)
        accepted[-1].end()
        settle(clock)
    refused = ethernet.connect("nobody", 1)
    assert len(ethernet._streams) == 1
    settle(clock)
    assert refused.status == "refused"
    assert len(ethernet._streams) == 0


def test_ephemeral_ports_are_dynamic_ones_and_begin_again_at_the_end(ethernet):
    ports = []
    for _ in range(65_536 - FIRST_EPHEMERAL_PORT + 1):
        stream = ethernet.connect("pbx", 1)
        ports.append(stream.local_port)
        stream.close()
    assert ports[0] == ports[-1] == FIRST_EPHEMERAL_PORT
    assert max(ports) == 65_535


def test_power_off_resets_what_is_open_and_refuses_what_comes(clock, ethernet, accepted, pair):
    ours, theirs = pair
    calls, asked = [], []
    ours.irq(lambda: calls.append("irq"))
    ethernet.on_connect(lambda stream, host, port: asked.append(host))
    outgoing = ethernet.connect("pbx", 5061)
    theirs.write(b"on its way")
    coming = ethernet.accept("pc:2", 443)
    ethernet.power_off()
    settle(clock)
    assert ethernet.ports == frozenset()
    assert (theirs.status, coming.status, outgoing.status) == ("reset", "refused", "reset")
    assert calls == asked == []
    assert ours.read() == b""


def test_after_power_off_a_board_can_listen_again(clock, ethernet, accepted, pair):
    ethernet.power_off()
    ethernet.listen(443, accepted.append)
    again = ethernet.accept("pc:3", 443)
    settle(clock)
    assert again.status == "open"
