"""What becomes of connections when segments are lost: late, in order and once, or an end that says so."""

from __future__ import annotations

import errno
import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from board.clock import VirtualClock
from board.ethernet import LATENCY_NS, WINDOW_BYTES, Ethernet, Outside
from board.lan import Lan
from board.route import GIVE_UP_NS, SEGMENT_BYTES, Luck
from board.trace import Trace

MS = 1_000_000
S = 1_000_000_000


@dataclass
class FakeHost:
    """Something with an Ethernet port. Not modelled: everything else."""

    network: Ethernet
    powered: bool = True


class World:
    """Two hosts on a LAN: a, who connects, and b, who listens at port 1 and keeps what it accepts."""

    def __init__(self, seed=0):
        self.clock = VirtualClock()
        self.trace = Trace()
        self.lan = Lan(self.clock, lambda name: random.Random(f"{seed}/{name}"))
        self.a, self.b = (self.host(name) for name in "ab")
        self.accepted = []
        self.b.network.listen(1, self.accepted.append)

    def host(self, name):
        host = FakeHost(Ethernet(self.clock, Outside(self.clock), name))
        self.lan.plug(host, (name,), self.trace.for_board(name))
        return host

    def connect(self):
        """Both ends of a new connection, once it is open; from a to b."""
        ours = self.a.network.connect("b", 1)
        assert self.clock.run_while(lambda: ours.status == "connecting", 200 * S)
        self.clock.run_for(MS)
        return ours, self.accepted[-1]

    def lost(self):
        return [(event.board, event.value) for event in self.trace if event.name == "lost"]


@pytest.fixture
def world():
    return World()


@pytest.fixture
def pair(world):
    return world.connect()


@pytest.fixture
def lose(monkeypatch, world):
    """``lose(2, 5)``: of the segments sent from now on, the third and the sixth are lost, and no other."""

    def lose(*numbers):
        world.lan.loss = 0.5
        sent = iter(range(1_000_000))
        monkeypatch.setattr(Luck, "strikes", lambda self, probability: probability > 0 and next(sent) in numbers)

    return lose


def arrivals(clock, stream):
    """When bytes arrive, and how many."""
    seen = []
    stream.irq(lambda: seen.append((clock.now_ns, stream.any())))
    return seen


# -- how late


def test_a_lost_segment_with_nothing_behind_it_arrives_after_the_time_out(world, pair, lose):
    ours, theirs = pair
    lose(0)
    began_ns, seen = world.clock.now_ns, arrivals(world.clock, theirs)
    ours.write(b"lonely")
    world.clock.run_for(5 * S)
    assert seen == [(began_ns + S + LATENCY_NS, 6)]
    assert world.lost() == [("a", 6)]


def test_the_time_out_doubles_as_long_as_the_segment_is_lost_again(world, pair, lose):
    ours, theirs = pair
    lose(0, 1, 2)
    began_ns, seen = world.clock.now_ns, arrivals(world.clock, theirs)
    ours.write(b"unlucky")
    world.clock.run_for(10 * S)
    assert seen == [(began_ns + (1 + 2 + 4) * S + LATENCY_NS, 7)]
    assert len(world.lost()) == 3


def test_three_segments_behind_a_lost_one_bring_it_back_a_round_trip_later(world, pair, lose):
    ours, theirs = pair
    lose(1)
    began_ns, seen = world.clock.now_ns, arrivals(world.clock, theirs)
    ours.write(bytes(5 * SEGMENT_BYTES))
    world.clock.run_for(5 * S)
    assert seen[0] == (began_ns + LATENCY_NS, SEGMENT_BYTES)
    assert seen[-1] == (began_ns + 3 * LATENCY_NS, 5 * SEGMENT_BYTES)


def test_what_is_lost_a_second_time_after_a_round_trip_waits_for_the_time_out(world, pair, lose):
    ours, theirs = pair
    lose(0, 4)
    began_ns, seen = world.clock.now_ns, arrivals(world.clock, theirs)
    ours.write(bytes(4 * SEGMENT_BYTES))
    world.clock.run_for(5 * S)
    assert seen[-1] == (began_ns + 2 * LATENCY_NS + S + LATENCY_NS, 4 * SEGMENT_BYTES)


def test_two_behind_it_are_not_enough_and_a_later_write_is_a_third(world, pair, lose):
    ours, theirs = pair
    lose(0)
    seen = arrivals(world.clock, theirs)
    ours.write(bytes(3 * SEGMENT_BYTES))
    world.clock.run_for(300 * MS)
    assert seen == []
    third_ns = world.clock.now_ns
    ours.write(b"more")
    world.clock.run_for(5 * S)
    assert seen[-1] == (third_ns + 3 * LATENCY_NS, 3 * SEGMENT_BYTES + 4)


def test_several_gaps_in_one_write_are_filled_by_and_by(world, pair, lose):
    ours, theirs = pair
    data = random.Random(1).randbytes(12 * SEGMENT_BYTES + 7)
    lose(0, 3, 4, 12)
    ours.write(data)
    world.clock.run_for(10 * MS)
    assert theirs.read() == data
    assert world.lost() == [("a", SEGMENT_BYTES)] * 3 + [("a", 7)]


def test_after_a_silence_one_segment_is_tried_and_the_rest_once_that_was_acknowledged(world, pair):
    ours, theirs = pair
    world.lan.cut(world.a, ms=500)
    began_ns, seen = world.clock.now_ns, arrivals(world.clock, theirs)
    ours.write(bytes(5 * SEGMENT_BYTES))
    world.clock.run_for(5 * S)
    assert seen[0] == (began_ns + S + LATENCY_NS, SEGMENT_BYTES)
    assert seen[-1] == (began_ns + S + 3 * LATENCY_NS, 5 * SEGMENT_BYTES)


def test_over_a_long_way_nothing_is_sent_again_before_an_answer_could_have_come(world, pair, lose):
    ours, theirs = pair
    lose(0)
    world.lan.latency_ms = 2_000
    began_ns, seen = world.clock.now_ns, arrivals(world.clock, theirs)
    ours.write(b"far")
    world.clock.run_for(20 * S)
    assert seen == [(began_ns + 6 * S, 3)]


def test_what_does_not_wait_for_the_lost_segment_is_not_held_up(world, pair, lose):
    ours, theirs = pair
    lose(0)
    ours.write(b"lost")
    theirs.write(b"the other direction")
    world.clock.run_for(MS)
    assert ours.read() == b"the other direction"


def test_room_in_the_window_is_told_although_data_of_that_direction_is_missing(world, pair, lose):
    ours, theirs = pair
    ours.write(bytes(WINDOW_BYTES))
    world.clock.run_for(MS)
    lose(0)
    theirs.write(b"lost")
    theirs.read()
    world.clock.run_for(MS)
    assert ours.write(b"x") == 1


def test_a_lost_end_of_a_direction_arrives_later_and_behind_the_data(world, pair, lose):
    ours, theirs = pair
    lose(0, 1)
    ours.write(b"bye")
    ours.end()
    world.clock.run_for(MS)
    assert theirs.read() is None
    world.clock.run_for(S)
    assert theirs.read() == b"bye"
    assert theirs.read() == b""


@pytest.mark.parametrize("number", [0, 1])
def test_a_lost_attempt_or_a_lost_answer_to_it_costs_a_second(world, lose, number):
    lose(number)
    ours = world.a.network.connect("b", 1)
    world.clock.run_until(S)
    assert ours.status == "connecting"
    world.clock.run_until(S + MS)
    assert ours.status == "open"
    assert len(world.accepted) == 1


def test_a_lost_refusal_comes_when_the_attempt_is_made_again(world, lose):
    lose(1)
    ours = world.a.network.connect("b", 2)
    world.clock.run_until(S)
    assert ours.status == "connecting"
    world.clock.run_until(S + MS)
    assert ours.status == "refused"


# -- ends


def test_a_reset_is_sent_once_and_the_other_end_learns_when_it_sends(world, pair, lose):
    ours, theirs = pair
    lose(0)
    ours.abort()
    world.clock.run_for(1_000 * S)
    assert theirs.status == "open"
    theirs.write(b"anybody there?")
    world.clock.run_for(MS)
    assert (theirs.status, theirs.failure) == ("reset", errno.ECONNRESET)


def test_a_reset_takes_with_it_what_was_to_be_sent_again(world, pair, lose):
    ours, theirs = pair
    lose(0)
    ours.write(b"never mind")
    ours.abort()
    world.clock.run_for(10 * S)
    assert theirs.status == "reset"
    assert theirs.read() == b""
    assert world.clock.next_ns is None


def test_a_connection_restored_within_100_s_goes_on(world, pair):
    ours, theirs = pair
    world.lan.cut(world.b)
    ours.write(b"patience")
    world.clock.run_for(GIVE_UP_NS - S)
    world.lan.restore(world.b)
    world.clock.run_for(S + MS)
    assert theirs.read() == b"patience"
    assert ours.write(b"!") == 1


def test_a_sender_that_gets_nothing_through_for_100_s_gives_up(world, pair):
    ours, theirs = pair
    changes = []
    ours.irq(lambda: changes.append((ours.status, world.clock.now_ns)))
    world.lan.cut(world.a)
    began_ns = world.clock.now_ns
    ours.write(b"hello?")
    world.clock.run_for(GIVE_UP_NS + S)
    assert changes == [("reset", began_ns + GIVE_UP_NS)]
    assert ours.failure == errno.ETIMEDOUT
    assert ours.read() == b""
    with pytest.raises(OSError, match="connection to b:1 timed out") as caught:
        ours.write(b"x")
    assert caught.value.errno == errno.ETIMEDOUT
    assert world.clock.next_ns is None, "nothing goes on for ever"
    assert theirs.status == "open", "nobody told the other end"


def test_the_end_that_was_not_told_is_reset_when_it_sends_after_the_cut(world, pair):
    ours, theirs = pair
    world.lan.cut(world.a)
    ours.write(b"hello?")
    world.clock.run_for(GIVE_UP_NS + S)
    world.lan.restore(world.a)
    theirs.write(b"hello!")
    world.clock.run_for(MS)
    assert theirs.status == "reset"


def test_a_host_that_lost_its_power_while_cut_off_answers_with_a_reset_once_it_has_power(world, pair):
    ours, _ = pair
    world.lan.cut(world.b)
    world.b.powered = False
    world.b.network.power_off()
    world.lan.restore(world.b)
    ours.write(b"still there?")
    world.clock.run_for(500 * MS)
    assert ours.status == "open"
    world.b.powered = True
    world.clock.run_for(10 * S)
    assert ours.status == "reset"


def test_an_end_that_was_told_of_no_room_while_cut_off_hears_of_it_later(world, pair):
    ours, theirs = pair
    ours.write(bytes(WINDOW_BYTES))
    assert ours.write(b"x") == 0
    world.clock.run_for(MS)
    world.lan.cut(world.a)
    theirs.read()
    world.clock.run_for(10 * S)
    assert ours.write(b"x") == 0
    world.lan.restore(world.a)
    world.clock.run_for(10 * S)
    assert ours.write(b"x") == 1


def test_news_of_room_is_not_repeated_to_an_end_that_is_gone(world, pair):
    ours, theirs = pair
    ours.write(bytes(100))
    world.clock.run_for(MS)
    world.lan.cut(world.a)
    theirs.read()
    ours.write(b"into the void")
    world.clock.run_for(GIVE_UP_NS + 120 * S)
    assert world.clock.next_ns is None


# -- chance


def stories(seed, *, connections=1, pieces=200):
    """When each piece of a conversation arrived, of each connection; over a LAN that loses every fifth segment."""
    world = World(seed)
    pairs = [world.connect() for _ in range(connections)]
    world.lan.loss, world.lan.jitter_ms = 0.2, 3
    seen = [arrivals(world.clock, theirs) for _, theirs in pairs]
    for _ in range(pieces):
        for ours, _ in pairs:
            ours.write(b"0123456789")
        world.clock.run_for(20 * MS)
    world.clock.run_for(60 * S)
    return seen, world.trace.digest()


def test_the_same_seed_loses_the_same_segments_and_another_seed_others():
    assert stories(1) == stories(1)
    assert stories(1) != stories(2)


def test_one_connections_luck_does_not_shift_anothers():
    (alone,), _ = stories(1, connections=1)
    (together, _), _ = stories(1, connections=2)
    began_ns = together[0][0] - alone[0][0]
    assert [(now_ns + began_ns, size) for now_ns, size in alone] == together


def test_no_two_connections_and_no_two_directions_have_the_same_luck(world):
    pairs = [world.connect() for _ in range(2)]
    ends = [end for pair in pairs for end in pair]
    world.lan.jitter_ms = 10
    seen = [arrivals(world.clock, end) for end in ends]
    for end in ends:
        end.write(b"x")
    world.clock.run_for(S)
    assert len({times[0][0] for times in seen}) == 4


def test_as_many_segments_are_lost_as_was_asked_for(world, pair):
    ours, theirs = pair
    world.lan.loss = 0.1
    for _ in range(100):
        ours.write(bytes(10 * SEGMENT_BYTES))
        world.clock.run_for(100 * S)
        theirs.read()
    assert 80 < len(world.lost()) < 140


def test_the_losses_of_the_segment_and_of_both_links_add_up_as_probabilities(world, pair):
    ours, theirs = pair
    world.lan.loss = 0.2
    world.lan.link(world.a).loss = 0.1
    world.lan.link(world.b).loss = 0.1
    for _ in range(1_000):
        ours.write(b"x")
        world.clock.run_for(200 * S)
        assert theirs.read() == b"x"
    lost = len(world.lost())
    assert abs(lost / (1_000 + lost) - (1 - 0.8 * 0.9 * 0.9)) < 0.03


def test_numbers_of_luck_are_spread_evenly_and_belong_to_their_name():
    one, other = Luck(b"key", "one"), Luck(b"key", "other")
    drawn = [one.below(10) for _ in range(2_000)]
    assert {drawn.count(digit) // 100 for digit in range(10)} <= {1, 2}
    assert [Luck(b"key", "one").below(10)] == drawn[:1]
    assert [other.below(10) for _ in range(2_000)] != drawn
    assert not Luck(b"key", "x").strikes(0)
    assert Luck(b"key", "x").strikes(1)


@given(
    seed=st.integers(0, 1_000_000),
    loss=st.floats(0, 0.4),
    jitter_ms=st.floats(0, 50),
    mbit=st.none() | st.floats(0.1, 1_000),
    sizes=st.lists(st.integers(1, 6 * SEGMENT_BYTES), max_size=12),
    pauses_ms=st.lists(st.integers(0, 3_000), min_size=12, max_size=12),
    cut_at=st.integers(0, 12),
)
def test_whatever_is_lost_bytes_arrive_in_order_and_once(seed, loss, jitter_ms, mbit, sizes, pauses_ms, cut_at):
    world = World(seed)
    ours, theirs = world.connect()
    world.lan.loss, world.lan.jitter_ms, world.lan.bandwidth_mbit = loss, jitter_ms, mbit
    got = {ours: bytearray(), theirs: bytearray()}
    for stream, data in got.items():
        stream.irq(lambda stream=stream, data=data: data.extend(stream.read() or b""))
    sent = bytearray()
    for number, size in enumerate(sizes):
        if number == cut_at:
            world.lan.cut(world.a, ms=2_000)
        piece = random.Random(number).randbytes(size)
        for stream in (ours, theirs):
            taken = stream.write(piece)
            if stream is ours:
                sent += piece[:taken]
        world.clock.run_for(pauses_ms[number] * MS)
        assert sent.startswith(got[theirs])
    ours.end()
    theirs.end()
    if world.clock.run_while(lambda: (ours.status, theirs.status) != ("closed", "closed"), 1_000 * S):
        assert got[theirs] == sent
    else:
        assert ours.unheard or theirs.unheard, "the only other way out is to give up"
    world.clock.run_for(1_000 * S)
    assert world.clock.next_ns is None
