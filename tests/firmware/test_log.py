"""The log's ring, its faces, and the crash note."""

from __future__ import annotations

import json

import pytest

from firmware.errors import FirmwareError
from firmware.log import (
    NOTE_SIZE,
    TEXT_LIMIT,
    CrashNote,
    Log,
    LogEntry,
    line_from_entry,
    log_json,
    log_text,
    note_from_bytes,
    put_note,
    take_note,
)

NOTE = CrashNote("watchdog", "x509.keys", "rsa-private", 86_400_123)


class FakeClock:
    """Uptime and wall time, set by hand."""

    def __init__(self) -> None:
        self.uptime_ms = 0
        self.wall_s: int | None = None


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def log(clock: FakeClock) -> Log:
    """A log of three entries at most."""
    return Log(lambda: clock.uptime_ms, lambda: clock.wall_s, limit=3)


def test_the_newest_entries_stay_and_the_others_are_counted(log: Log) -> None:
    for number in range(5):
        log.write("CPU", f"entry {number}")
    assert [entry.text for entry in log.entries()] == ["entry 2", "entry 3", "entry 4"]
    assert [entry.number for entry in log.entries()] == [3, 4, 5]
    assert (len(log), log.gone) == (3, 2)


def test_an_entry_bears_the_times_as_they_were(log: Log, clock: FakeClock) -> None:
    log.write("BOOT", "up")
    clock.uptime_ms, clock.wall_s = 61_234, 1_700_000_000
    log.write("NTP", "time set")
    assert log.entries() == [
        LogEntry(1, 0, None, "BOOT", "up"),
        LogEntry(2, 61_234, 1_700_000_000, "NTP", "time set"),
    ]


def test_entries_can_be_chosen_by_facility(log: Log) -> None:
    log.write("CARD", "in")
    log.write("CPU", "busy")
    assert [entry.text for entry in log.entries("CARD")] == ["in"]
    assert log.entries("card") == []


def test_subscribers_get_every_entry_until_they_end_it(log: Log) -> None:
    seen: list[str] = []
    end = log.subscribe(lambda entry: seen.append(entry.text))
    log.write("CPU", "one")
    end()
    end()
    log.write("CPU", "two")
    assert seen == ["one"]


def test_a_subscriber_that_ends_itself_takes_nothing_from_the_next(log: Log) -> None:
    seen: list[str] = []
    ends = [log.subscribe(lambda entry: ends[0]()), log.subscribe(lambda entry: seen.append(entry.text))]
    log.write("CPU", "one")
    log.write("CPU", "two")
    assert seen == ["one", "two"]


def test_a_peers_text_cannot_forge_a_line_or_steer_the_terminal(log: Log) -> None:
    entry = log.write("TLS", "CN=evil\r\n  0.001 - CPU  all is well\x1b[2J\u202e")
    assert entry.text == "CN=evil\\r\\n  0.001 - CPU  all is well\\x1b[2J\\u202e"
    assert log.write("TLS", "O=Müller").text == "O=Müller"


def test_a_long_text_is_cut_and_shows_it(log: Log) -> None:
    assert log.write("TLS", "x" * TEXT_LIMIT).text == "x" * TEXT_LIMIT
    assert log.write("TLS", "x" * (TEXT_LIMIT + 1)).text == "x" * (TEXT_LIMIT - 3) + "..."


def test_a_line_shows_uptime_wall_time_facility_and_text() -> None:
    assert line_from_entry(LogEntry(1, 61_034, None, "BOOT", "up")) == "     61.034 -                    BOOT     up"
    with_time = LogEntry(2, 5, 1_700_000_000, "X509", "stored")
    assert line_from_entry(with_time) == "      0.005 2023-11-14T22:13:20Z X509     stored"


def test_the_text_says_how_many_entries_are_gone(log: Log) -> None:
    for number in range(4):
        log.write("CPU", f"entry {number}")
    lines = log_text(log.entries(), log.gone).splitlines()
    assert lines[0] == "1 older entries are gone"
    assert len(lines) == 4
    assert log_text([]) == ""


def test_the_json_is_one_line_with_the_same_facts(log: Log, clock: FakeClock) -> None:
    clock.wall_s = 1_700_000_000
    log.write("CPU", 'say "hi"')
    text = log_json(log.entries(), log.gone)
    assert "\n" not in text
    assert json.loads(text) == {
        "gone": 0,
        "entries": [
            {"number": 1, "uptime_ms": 0, "time": "2023-11-14T22:13:20Z", "facility": "CPU", "text": 'say "hi"'}
        ],
    }


def test_a_crash_note_is_read_once_after_the_reset() -> None:
    memory = bytearray(b"\xa5" * 256)
    put_note(memory, NOTE)
    assert take_note(memory) == NOTE
    assert take_note(memory) is None
    assert memory[NOTE_SIZE:] == b"\xa5" * (256 - NOTE_SIZE), "the rest of the memory is not ours"


def test_a_crash_note_reads_as_a_sentence() -> None:
    assert str(NOTE) == "watchdog reset after 86400.123 s in task x509.keys, last charge rsa-private"


def test_memory_after_power_off_or_with_any_flipped_bit_holds_no_note() -> None:
    assert note_from_bytes(bytes(256)) is None
    assert note_from_bytes(b"") is None
    memory = bytearray(NOTE_SIZE)
    put_note(memory, NOTE)
    for bit in range(8 * NOTE_SIZE):
        memory[bit // 8] ^= 1 << bit % 8
        assert note_from_bytes(memory) is None
        memory[bit // 8] ^= 1 << bit % 8
    assert note_from_bytes(memory) == NOTE


def test_a_name_too_long_for_the_note_is_cut_at_a_character() -> None:
    memory = bytearray(NOTE_SIZE)
    put_note(memory, NOTE._replace(task="ü" * 40))
    assert take_note(memory) == NOTE._replace(task="ü" * 23)


def test_memory_too_small_for_a_note_is_refused_and_left_alone() -> None:
    memory = bytearray(b"\xa5" * (NOTE_SIZE - 1))
    with pytest.raises(
        FirmwareError, match=f"memory of {NOTE_SIZE - 1} bytes for a crash note, {NOTE_SIZE} are needed"
    ):
        put_note(memory, NOTE)
    assert set(memory) == {0xA5}
    assert take_note(memory) is None
