"""The LAN: who is meant by a name, what its conditions do to the time of arrival, and what a cut cuts."""

from __future__ import annotations

import errno
import random
from dataclasses import dataclass

import pytest

from board.errors import BoardError
from board.ethernet import LATENCY_NS, Ethernet, Outside
from board.lan import Lan
from board.route import SYN_GIVE_UP_NS

US = 1_000
MS = 1_000_000
S = 1_000_000_000


@dataclass
class FakeHost:
    """Something with an Ethernet port. Not modelled: everything else."""

    network: Ethernet
    powered: bool = True


@pytest.fixture
def lan(clock):
    return Lan(clock, lambda name: random.Random(name))


@pytest.fixture
def plug(clock, lan, events):
    """``plug("a")``: a host of that name, that listens at port 5061 and keeps what it accepts in ``accepted``."""

    def plug(name, *more_names):
        host = FakeHost(Ethernet(clock, Outside(clock), name))
        host.accepted = []
        lan.plug(host, (name, *more_names), events.for_board(name))
        host.network.listen(5061, host.accepted.append)
        return host

    return plug


@pytest.fixture
def a(plug):
    return plug("a")


@pytest.fixture
def b(plug):
    return plug("b")


@pytest.fixture
def pair(clock, a, b):
    """Both ends of an open connection from a to b."""
    ours = a.network.connect("b", 5061)
    clock.run_for(2 * LATENCY_NS)
    return ours, b.accepted[0]


def arrival_ns(clock, sender, receiver, data=b"x"):
    """How long data takes."""
    arrived = []
    receiver.irq(lambda: arrived.append(clock.now_ns))
    began_ns = clock.now_ns
    sender.write(data)
    clock.run_for(100 * MS)
    assert receiver.read() == data
    clock.run_for(100 * MS)
    return arrived[-1] - began_ns


def lan_events(events):
    return [(event.board, event.name, event.value) for event in events if event.kind == "lan"]


# -- names


def test_a_host_is_found_by_each_of_its_names_in_upper_and_lower_case(clock, a, plug):
    plug("IP800-06-11-ad", "00-90-33-06-11-ad", "registrar")
    names = ("IP800-06-11-ad", "ip800-06-11-AD", "00-90-33-06-11-AD", "Registrar")
    streams = [a.network.connect(name, 5061) for name in names]
    clock.run_for(MS)
    assert [stream.status for stream in streams] == ["open"] * 4


def test_a_name_that_nobody_has_is_refused_at_once(clock, a):
    stream = a.network.connect("nobody", 5061)
    clock.run_for(2 * LATENCY_NS)
    assert (stream.status, stream.failure) == ("refused", errno.ECONNREFUSED)


def test_a_name_stays_with_whom_it_was_given_to_first(clock, a, plug):
    first, second = plug("one", "same"), plug("two", "same")
    a.network.connect("same", 5061)
    clock.run_for(MS)
    assert (len(first.accepted), len(second.accepted)) == (1, 0)


def test_who_comes_later_is_found_too(clock, a, plug):
    early = a.network.connect("late", 5061)
    clock.run_for(MS)
    plug("late")
    late = a.network.connect("late", 5061)
    clock.run_for(MS)
    assert (early.status, late.status) == ("refused", "open")


def test_a_host_sees_the_name_and_port_of_who_connects(clock, pair):
    ours, theirs = pair
    assert (ours.peer, theirs.peer) == ("b:5061", f"a:{ours.local_port}")


def test_a_host_reaches_itself_whatever_happens_on_the_lan(clock, lan, a):
    lan.cut(a)
    stream = a.network.connect("a", 5061)
    clock.run_for(MS)
    assert stream.status == "open"


# -- conditions


def test_in_the_beginning_a_lan_is_the_latency_of_an_ethernet_port(clock, lan, pair):
    assert lan.calm
    assert lan.latency_ms == 0.1
    assert arrival_ns(clock, *pair) == LATENCY_NS


def test_latency_counts_for_open_connections_and_for_the_next_ones(clock, lan, a, b, pair):
    lan.latency_ms = 2
    assert arrival_ns(clock, *pair) == 2 * MS
    later = a.network.connect("b", 5061)
    clock.run_for(4 * MS - 1)
    assert later.status == "connecting"
    clock.run_for(1)
    assert later.status == "open"
    lan.latency_ms = 0.1
    assert arrival_ns(clock, *pair) == LATENCY_NS


def test_a_links_latency_comes_on_top_in_both_directions_and_for_nobody_else(clock, lan, a, b, plug, pair):
    c = plug("c")
    lan.link(b).latency_ms = 20
    ours, theirs = pair
    assert arrival_ns(clock, ours, theirs) == arrival_ns(clock, theirs, ours) == 20 * MS + LATENCY_NS
    other = a.network.connect("c", 5061)
    clock.run_for(MS)
    assert arrival_ns(clock, other, c.accepted[0]) == LATENCY_NS
    began_ns = clock.now_ns
    slow = a.network.connect("b", 5061)
    clock.run_while(lambda: slow.status == "connecting", S)
    assert clock.now_ns - began_ns == 2 * (20 * MS + LATENCY_NS)


def test_what_is_sent_over_a_shorter_way_does_not_overtake(clock, lan, pair):
    ours, theirs = pair
    lan.latency_ms = 10
    ours.write(b"first ")
    lan.latency_ms = 1
    ours.write(b"second")
    clock.run_for(5 * MS)
    assert theirs.read() is None
    clock.run_for(5 * MS)
    assert theirs.read() == b"first second"


def test_jitter_varies_the_latency_within_its_limit(clock, lan, pair):
    lan.jitter_ms = 1
    taken = [arrival_ns(clock, *pair) for _ in range(50)]
    assert len(set(taken)) > 40
    assert LATENCY_NS <= min(taken) < 200 * US
    assert 1_000 * US < max(taken) <= LATENCY_NS + MS


def test_bandwidth_is_the_time_that_the_frames_take_on_the_senders_line(clock, lan, pair):
    lan.bandwidth_mbit = 100
    assert arrival_ns(clock, *pair, b"x" * 1_460) == LATENCY_NS + (1_460 + 78) * 80
    assert arrival_ns(clock, *pair, b"x" * 14_600) == LATENCY_NS + 10 * (1_460 + 78) * 80


def test_what_one_host_sends_over_two_connections_shares_its_line(clock, lan, a, b, pair):
    ours, _ = pair
    second = a.network.connect("b", 5061)
    clock.run_for(MS)
    lan.bandwidth_mbit = 10
    ours.write(b"x" * 1_460)
    assert arrival_ns(clock, second, b.accepted[1], b"y" * 1_460) == LATENCY_NS + 2 * (1_460 + 78) * 800


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("latency_ms", -1, "latency_ms -1: must be at least 0 and at most 60000"),
        ("jitter_ms", 60_001, "jitter_ms 60001: must be at least 0 and at most 60000"),
        ("loss", 1.5, "loss 1.5: must be a probability from 0 to 1"),
        ("loss", float("nan"), "loss nan: must be"),
        ("bandwidth_mbit", 0, "bandwidth_mbit 0: must be more than 0, or None"),
    ],
)
def test_conditions_that_cannot_be_are_refused_and_change_nothing(lan, name, value, text):
    before = getattr(lan, name)
    with pytest.raises(BoardError, match=text):
        setattr(lan, name, value)
    assert getattr(lan, name) == before
    assert lan.calm


def test_a_host_that_was_never_plugged_in_has_no_link(clock, lan):
    with pytest.raises(BoardError, match="stranger is not on this LAN"):
        lan.link(FakeHost(Ethernet(clock, Outside(clock), "stranger")))


# -- no answer, and refusal


def test_a_host_without_power_does_not_answer_and_is_reached_when_it_is_back(clock, a, b):
    b.powered = False
    stream = a.network.connect("b", 5061)
    clock.run_until(2 * S)
    assert stream.status == "connecting"
    b.powered = True
    clock.run_until(3 * S - 1)
    assert stream.status == "connecting", "the attempts are 0, 1, 3, 7 s after the first"
    clock.run_until(3 * S + MS)
    assert stream.status == "open"


def test_a_host_with_power_refuses_at_once_where_it_does_not_listen(clock, a, b):
    stream = a.network.connect("b", 1)
    clock.run_for(2 * LATENCY_NS)
    assert stream.status == "refused"


def test_a_connection_that_nobody_answers_ends_by_itself_after_three_minutes(clock, a, b):
    b.powered = False
    changes = []
    stream = a.network.connect("b", 5061)
    stream.irq(lambda: changes.append((stream.status, clock.now_ns)))
    clock.run_until(SYN_GIVE_UP_NS + S)
    assert changes == [("refused", SYN_GIVE_UP_NS)]
    assert stream.failure == errno.ETIMEDOUT


@pytest.mark.parametrize("give_up", ["close", "abort"])
def test_an_attempt_that_was_given_up_is_not_made_again(clock, a, b, give_up):
    b.powered = False
    getattr(a.network.connect("b", 5061), give_up)()
    stream = a.network.connect("b", 5061)
    clock.run_for(10 * MS)
    getattr(stream, give_up)()
    b.powered = True
    clock.run_for(60 * S)
    assert b.accepted == []
    assert clock.next_ns is None


def test_a_client_of_the_bench_gets_no_answer_from_a_host_that_is_cut_off(clock, lan, b):
    lan.cut(b)
    theirs = b.network.accept("bench", 5061)
    clock.run_for(500 * MS)
    assert (theirs.status, b.accepted) == ("connecting", [])
    lan.restore(b)
    clock.run_for(600 * MS)
    assert theirs.status == "open"


# -- cuts


def test_a_cut_host_hears_nothing_until_it_is_restored_and_then_gets_all_in_order(clock, lan, a, b, pair):
    ours, theirs = pair
    lan.cut(b)
    for piece in (b"one ", b"two ", b"three"):
        ours.write(piece)
    clock.run_for(10 * S)
    assert theirs.read() is None
    lan.restore(b)
    clock.run_for(5 * S - 1)
    assert theirs.read() is None, "sent again 1, 3, 7 and 15 s after the first time"
    clock.run_for(MS)
    assert theirs.read() == b"one two three"
    theirs.write(b"heard")
    clock.run_for(MS)
    assert ours.read() == b"heard"


def test_what_was_on_its_way_when_the_cable_was_cut_arrives(clock, lan, b, pair):
    ours, theirs = pair
    ours.write(b"just in time")
    lan.cut(b)
    clock.run_for(MS)
    assert theirs.read() == b"just in time"


def test_two_hosts_that_are_cut_from_each_other_still_reach_a_third(clock, lan, a, b, plug, pair):
    plug("c")
    lan.cut(a, b)
    ours, theirs = pair
    theirs.write(b"?")
    streams = [host.network.connect("c", 5061) for host in (a, b)]
    clock.run_for(MS)
    assert [stream.status for stream in streams] == ["open", "open"]
    assert ours.read() is None
    lan.restore(b, a)
    clock.run_for(S)
    assert ours.read() == b"?"


def test_a_cut_for_a_time_ends_by_itself(clock, lan, events, b, pair):
    lan.cut(b, ms=500)
    clock.run_for(499 * MS)
    assert not lan.calm
    clock.run_for(MS)
    assert lan.calm
    assert lan_events(events) == [("b", "cut", ""), ("b", "restore", "")]


def test_a_later_cut_takes_the_place_of_the_one_before(clock, lan, b):
    lan.cut(b, ms=100)
    lan.cut(b)
    clock.run_for(S)
    assert not lan.calm
    lan.cut(b, ms=100)
    clock.run_for(S)
    assert lan.calm


def test_a_cut_and_its_end_are_in_the_trace_of_whom_they_concern_once(lan, events, a, b):
    with lan.cut_off(a, b):
        lan.cut(b, a)
    with lan.cut_off(a):
        pass
    lan.restore(a)
    expected = [("a", "cut", "b"), ("b", "cut", "a"), ("a", "restore", "b"), ("b", "restore", "a")]
    assert lan_events(events) == [*expected, ("a", "cut", ""), ("a", "restore", "")]


def test_a_block_that_fails_leaves_no_cut_behind(lan, a):
    with pytest.raises(ZeroDivisionError), lan.cut_off(a):
        raise ZeroDivisionError
    assert lan.calm


def test_nobody_can_be_cut_off_from_himself_or_for_less_than_no_time(lan, events, a):
    with pytest.raises(BoardError, match="a cannot be cut off from itself"):
        lan.cut(a, a)
    with pytest.raises(BoardError, match="cut ms -1: must be at least 0"):
        lan.cut(a, ms=-1)
    lan.latency_ms = 1
    lan.latency_ms = 0.1
    assert lan.calm
    assert lan_events(events) == []
