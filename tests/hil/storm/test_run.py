"""Small storms, from power-on to the figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import board
from hil.storm.keys import Keys
from hil.storm.parameters import Parameters
from hil.storm.result import ALL_REGISTERED, INTERRUPTED, TIME_IS_UP, SettingResult, StormResult, storm_from_json
from hil.storm.run import Progress, run_storm

Storm = Callable[..., SettingResult]

SEED = 10
"""That of the fixture ``storm``."""

model_file = Path(board.__file__).parent / "models" / "ip800.toml"


def test_all_phones_register(storm: Storm) -> None:
    result = storm(phones=5)
    assert result.outcome == ALL_REGISTERED
    assert result.registered_at_end == result.attempts == result.handshakes.count == 5
    assert result.first_attempt_ns is not None
    assert result.all_registered_ns is not None
    assert result.storm_ns == result.all_registered_ns - result.first_attempt_ns
    assert result.registration_s["100"] == pytest.approx(result.all_registered_ns / 1e9, abs=1e-6)
    assert not result.failures
    assert not any(result.timeouts.values())
    assert result.watchdog_resets == result.refused_connections == result.handshakes.failed == 0


def test_it_is_looked_on_for_a_minute_after_the_last_one(storm: Storm) -> None:
    result = storm()
    assert result.all_registered_ns is not None
    assert result.end_ns == pytest.approx(result.all_registered_ns + 60e9, abs=0.2e9)
    assert not result.timeouts["pong"]


def test_what_the_registrar_spent_is_what_the_cost_table_says(storm: Storm) -> None:
    result = storm()
    assert result.cpu_s_by_kind["rsa-private"] == pytest.approx(3 * 50.0 / 1e3, rel=1e-6)
    assert result.handshakes.cpu_ms.p50 == pytest.approx(65.4, rel=0.02)
    assert sum(result.cpu_s_by_kind.values()) == pytest.approx(result.busy_s, rel=1e-3)


def test_the_load_adds_up_to_what_was_spent(storm: Storm) -> None:
    result = storm()
    bucket_s = result.load.t_s[1] - result.load.t_s[0]
    for kind in ("rsa-private", "rsa-public"):
        assert sum(result.load.kinds[kind]) * bucket_s == pytest.approx(result.cpu_s_by_kind[kind], rel=0.01)
    assert len(result.load.t_s) == len(result.queues["t_s"]) == len(result.load.kinds["rsa-private"])


def test_the_queues_show_who_waited(storm: Storm) -> None:
    result = storm(phones=5)
    assert max(result.queues["handshakes"]) == 5
    assert max(result.queues["connections"]) == 5
    assert max(result.queues["ready service"]) >= 4
    assert all(values[-1] == 0 for name, values in result.queues.items() if name != "t_s")


def test_without_mutual_tls_nobody_pays_for_the_phones_certificates(storm: Storm) -> None:
    mutual, alone = storm(), storm(mutual=False)
    assert alone.registered_at_end == 3
    assert mutual.handshakes.cpu_ms.p50 is not None
    assert alone.handshakes.cpu_ms.p50 == pytest.approx(53.4, rel=0.02)
    assert mutual.handshakes.cpu_ms.p50 > alone.handshakes.cpu_ms.p50 + 10
    assert "rsa-public" not in alone.cpu_s_by_kind


def test_phones_that_are_spread_do_not_wait_for_one_another(storm: Storm) -> None:
    at_once, spread = storm(phones=5), storm(phones=5, arrival="spread:30")
    assert spread.registered_at_end == 5
    assert spread.storm_ns is not None
    assert at_once.storm_ns is not None
    assert 5e9 < spread.storm_ns < 31e9
    assert max(spread.queues["handshakes"]) < 5
    assert spread.handshakes.latency_ms.p50 is not None
    assert at_once.handshakes.latency_ms.p50 is not None
    assert spread.handshakes.latency_ms.p50 < at_once.handshakes.latency_ms.p50


def test_losses_take_time_and_nobody_is_lost(storm: Storm) -> None:
    calm, lossy = storm(phones=5), storm(phones=5, loss=0.2, latency_ms=20)
    assert lossy.registered_at_end == 5
    assert lossy.storm_ns is not None
    assert calm.storm_ns is not None
    assert lossy.storm_ns > calm.storm_ns


def test_four_times_the_key_length_takes_thirty_five_times_as_long(storm: Storm) -> None:
    short, long = storm(phones=5, mutual=False), storm(phones=5, mutual=False, key=4096)
    assert short.storm_ns is not None
    assert long.storm_ns is not None
    assert long.storm_ns / short.storm_ns == pytest.approx(35.6, rel=0.1)


def test_a_storm_that_does_not_end_says_how_far_it_came(storm: Storm) -> None:
    result = storm(key=4096, for_s=3)
    assert result.outcome == TIME_IS_UP
    assert result.end_ns == 3_000_000_000
    assert result.registered_at_end < 3
    assert result.all_registered_ns is result.storm_ns is result.registration_s["100"] is None
    assert result.sentence == f"{result.registered_at_end} of 3 registered within 3.0 s"


def test_when_only_the_registrar_had_no_power_its_phones_come_again(storm: Storm) -> None:
    result = storm(cut="registrar")
    assert result.outcome == ALL_REGISTERED
    assert result.registered_at_end == result.handshakes.count == 3
    assert result.registered[0] == (0.0, 0)
    assert result.registered[-1][1] == 3


def test_the_same_seed_gives_the_same_report_but_for_the_hosts_time(storm: Storm) -> None:
    one, other = storm(loss=0.1, arrival="spread:5"), storm(again=True, loss=0.1, arrival="spread:5")
    assert replace(one, host_s=0) == replace(other, host_s=0)


def test_a_real_result_reads_back_from_its_json(storm: Storm) -> None:
    report = StormResult("gatebench storm", 7, (storm(),))
    data: Any = json.loads(report.text())
    assert storm_from_json(data) == report


def test_the_longer_key_of_the_phones_costs_the_registrar_next_to_nothing(storm: Storm) -> None:
    short, long = storm(), storm(phone_key=2048)
    assert short.handshakes.cpu_ms.p50 is not None
    assert long.handshakes.cpu_ms.p50 is not None
    assert 0 < long.handshakes.cpu_ms.p50 - short.handshakes.cpu_ms.p50 < 10


def test_phones_that_lose_their_patience_make_work_that_is_in_vain(storm: Storm) -> None:
    # 17 handshakes of 1.9 s are more than the 30 s that a phone waits for one, and the line is long enough for all.
    result = storm(phones=17, key=4096, mutual=False, line=100)
    assert result.outcome == ALL_REGISTERED
    assert result.timeouts["handshake"] == result.failures["tls: timeout"] == result.handshakes.failed > 0
    assert result.attempts == 17 + result.timeouts["handshake"]
    assert result.handshakes.count == 17
    assert result.handshakes.wasted_cpu_s > 1
    private_s = 17 * result.handshakes.cpu_ms.p50 / 1e3 + result.handshakes.wasted_cpu_s  # type: ignore[operator]
    assert private_s == pytest.approx(result.busy_s, rel=0.02)


def test_a_line_that_ends_where_patience_does_leaves_nothing_in_vain(storm: Storm) -> None:
    # Who cannot be served in time is sent away before any work was done for it, and comes again.
    result = storm(phones=17, key=4096, mutual=False)
    assert result.outcome == ALL_REGISTERED
    assert result.handshakes.count == 17
    assert result.handshakes.failed == 0
    assert result.refused_connections == sum(result.failures.values()) == result.attempts - 17 > 0
    assert result.busy_s == pytest.approx(17 * result.handshakes.cpu_ms.p50 / 1e3, rel=0.02)  # type: ignore[operator]


def test_a_registrar_without_memory_for_all_closes_connections_at_once(storm: Storm, tmp_path: Path) -> None:
    small = tmp_path / "small.toml"
    text = model_file.read_text().replace('name = "ip800"', 'name = "small"').replace("65_536", "360", 1)
    small.write_text(text)
    result = storm(phones=5, model=str(small), for_s=15)
    assert result.registered_at_end == 3  # 360 KiB, half of them for connections of 60 KiB each
    assert result.refused_connections > 0
    assert sum(result.failures.values()) == result.refused_connections


def test_timeouts_of_the_network_are_counted_by_kind(storm: Storm) -> None:
    result = storm(loss=0.5, latency_ms=500, for_s=300)
    assert result.attempts > 3
    assert sum(result.timeouts.values()) > 0
    assert sum(result.failures.values()) >= sum(result.timeouts.values())


def test_a_timeline_changes_nothing(storm: Storm, storm_keys: Keys, tmp_path: Path) -> None:
    plain = storm()
    drawn = run_storm("a test", Parameters(phones=3), SEED, storm_keys, trace=tmp_path / "timeline.json")
    assert replace(drawn, host_s=0) == replace(plain, host_s=0)


def test_whoever_looks_can_end_it(storm: Storm, storm_keys: Keys) -> None:
    storm()  # finds the keys
    heard: list[Progress] = []

    def tell(progress: Progress) -> bool:
        heard.append(progress)
        return progress.registered < 3

    result = run_storm("a test", Parameters(phones=3, for_s=500), SEED, storm_keys, tell)
    assert result.outcome == INTERRUPTED
    assert result.registered_at_end == heard[-1].registered == 3
    assert result.end_ns == heard[-1].now_ns < 2e9


def test_another_tls_profile_is_what_is_measured(storm: Storm) -> None:
    # Ephemeral keys come on top of the private operation.
    assert storm(profile="modern").cpu_s_by_kind["tls"] > 5 * storm().cpu_s_by_kind["tls"]


def test_a_long_storm_is_reckoned_to_the_last_charge(storm: Storm) -> None:
    # Many batches of events, and each ends in the middle of a turn.
    result = storm(phones=17, key=4096, mutual=False)
    private_ms = storm(phones=1, key=4096, mutual=False).cpu_s_by_kind["rsa-private"] * 1e3
    private = result.cpu_s_by_kind["rsa-private"] * 1e3 / private_ms
    assert private == pytest.approx(round(private), abs=1e-3)
