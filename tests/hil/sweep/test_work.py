"""What a worker makes of a case: ok, the device's failure, or an error; and always the same."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from board import CpuReset
from hil.bench import Bench
from hil.errors import DeviceFailure, RackMisuse
from hil.sweep import work
from hil.sweep.case import Case, Measured
from hil.sweep.scenario import Scenario
from hil.sweep.work import RESERVED, run_case, run_cases


class FakeScenario:
    """A scenario that is a function of the test's. Not modelled: being sent anywhere."""

    def __init__(self, function: Any, limit_s: float | None = None) -> None:
        self.name = "fake"
        self.function = function
        self.limit_s = limit_s


def outcome_of(function: Any, limit_s: float | None = None, **case: Any) -> Any:
    return run_case(FakeScenario(function, limit_s), Case("fake", 1, **case))  # type: ignore[arg-type]


def boot(case: Case, bench: Bench) -> Mapping[str, Any]:
    gateway = bench.gateway(case.model)
    gateway.power_on()
    gateway.console.login()
    return {"bytes": len(gateway.console.data)}


def test_what_a_scenario_measured_comes_with_its_time_and_digest() -> None:
    result = outcome_of(boot)
    assert (result.outcome, result.message) == ("ok", "")
    assert result.values["bytes"] > 100
    assert result.virtual_ms > 1
    assert result.host_s > 0
    assert len(result.digest) == 64


def test_the_same_case_gives_the_same_and_another_seed_another() -> None:
    def drawn(case: Case, bench: Bench) -> Mapping[str, Any]:
        bench.trace.for_board("x")(0, "drawn", "x", bench.streams("x").randbytes(4).hex())
        return boot(case, bench)

    scenario: Any = FakeScenario(drawn)
    first, second, other = run_cases(scenario, [Case("fake", 1), Case("fake", 1), Case("fake", 2)])
    assert (first.digest, first.values) == (second.digest, second.values)
    assert other.digest != first.digest


def test_a_device_failure_is_a_failed_case_and_names_the_command_that_repeats_it() -> None:
    def fails(case: Case, bench: Bench) -> Mapping[str, Any]:
        boot(case, bench)
        bench.gateways[0].console.expect("never said", timeout_ms=10)
        return {}

    result = outcome_of(fails)
    assert result.outcome == "failed"
    assert result.message.splitlines()[0] == "expected 'never said' within 10 ms"
    assert f"repeat: {result.case.repeat}" in result.message
    assert result.digest
    assert result.virtual_ms > 10
    assert result.values == {}


def test_an_assertion_is_a_failed_case() -> None:
    def fails(case: Case, bench: Bench) -> Mapping[str, Any]:
        assert case.seed == 2, "seed two"
        return {}

    def says_nothing(case: Case, bench: Bench) -> Mapping[str, Any]:
        raise AssertionError

    assert outcome_of(fails).outcome == "failed"
    assert outcome_of(fails).message.startswith("seed two")
    assert "assertion failed at " in outcome_of(says_nothing).message
    assert "test_work.py:" in outcome_of(says_nothing).message


@pytest.mark.parametrize("error", [ValueError("five"), SystemExit(3), CpuReset("watchdog"), RecursionError("deep")])
def test_anything_else_is_an_error_that_says_where(error: BaseException) -> None:
    def breaks(case: Case, bench: Bench) -> Mapping[str, Any]:
        raise error

    result = outcome_of(breaks)
    assert result.outcome == "error"
    assert result.message.startswith(f"{type(error).__name__}: {error} (")
    assert "test_work.py:" in result.message


# The alarm may come while the collector calls back, which swallows it: that is why it rings again.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_case_that_takes_too_long_is_an_error_that_says_where_it_was() -> None:
    def hangs(case: Case, bench: Bench) -> Mapping[str, Any]:
        while True:
            try:
                boot(case, bench)
            except Exception:  # as careless as a scenario may be
                pass

    before = signal.getsignal(signal.SIGALRM)
    result = outcome_of(hangs, limit_s=0.05)
    assert result.outcome == "error"
    assert result.message.startswith("took longer than 0.05 s at ")
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_case_that_ends_in_time_is_left_alone() -> None:
    assert outcome_of(boot, limit_s=60.0).outcome == "ok"
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_in_a_thread_the_process_is_what_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(work.os, "_exit", lambda code: ended.set())

    def waits(case: Case, bench: Bench) -> Mapping[str, Any]:
        return {"ended": ended.wait(30)}

    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(outcome_of(waits, limit_s=0.01)))
    thread.start()
    thread.join()
    assert results[0].values == {"ended": True}


def test_ctrl_c_is_nobodys_outcome() -> None:
    def interrupted(case: Case, bench: Bench) -> Mapping[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outcome_of(interrupted)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "the scenario gave NoneType: must be a mapping of names to values"),
        ({"seed": 1}, "value 'seed': every row has a column of that name already"),
        ({"phones": 1}, "value 'phones': every row has a column"),
        ({"two words": 1}, "value 'two words': must be named with letters"),
        ({5: 1}, "value 5: must be named"),
        ({"x": [1]}, "value 'x' is of type list: must be int, float, str or bool"),
        ({"x": None}, "value 'x' is of type NoneType"),
        ({"x": 1 << 63}, "value 'x' is an integer of 64 bits: must fit into 64"),
        ({"x": float("nan")}, "value 'x' is nan: leave it out instead"),
        ({"x": float("-inf")}, "value 'x' is -inf"),
    ],
)
def test_what_does_not_fit_into_a_table_is_an_error(values: object, message: str) -> None:
    result = outcome_of(lambda case, bench: values, extra=(("phones", "3"),))
    assert result.outcome == "error"
    assert message in result.message
    assert result.values == {}


def test_numbers_texts_and_truth_values_fit() -> None:
    values = {"a": -(1 << 63), "b": (1 << 63) - 1, "c": 1e-300, "d": "ä\n", "e": True}
    assert outcome_of(lambda case, bench: values).values == values


def test_every_reserved_name_is_a_column() -> None:
    from hil.sweep.columns import rows_from_results

    _, columns = rows_from_results([outcome_of(lambda case, bench: {}, digests=(("model", "d"),))])
    assert set(columns) == RESERVED


def test_a_world_of_the_scenarios_own_brings_its_own_time_and_digest() -> None:
    def builds_one(case: Case, bench: Bench) -> Measured:
        return Measured({"x": 1}, 2_500_000, "theirs")

    result = outcome_of(builds_one)
    assert (result.outcome, result.digest, result.virtual_ms, result.values) == ("ok", "theirs", 2.5, {"x": 1})


def test_a_failure_may_have_figures() -> None:
    result = outcome_of(lambda case, bench: Measured({"x": 1}, 0, "d", "too slow"))
    assert (result.outcome, result.message, result.values) == ("failed", "too slow", {"x": 1})


def test_figures_of_a_failure_must_fit_too() -> None:
    result = outcome_of(lambda case, bench: Measured({"seed": 1}, 5, "d", "too slow"))
    assert (result.outcome, result.digest, result.virtual_ms) == ("error", "", 0)
    assert result.message == "value 'seed': every row has a column of that name already"


def test_a_world_that_broke_off_elsewhere_has_no_digest() -> None:
    def breaks(case: Case, bench: Bench) -> Mapping[str, Any]:
        raise DeviceFailure("a", "b")

    assert (outcome_of(breaks).outcome, outcome_of(breaks).digest) == ("failed", "")


class FakePlan:
    """Notes what it was applied to. Not modelled: faults."""

    def __init__(self) -> None:
        self.applied: list[str] = []

    def apply(self, gateway: Any) -> None:
        self.applied.append(gateway.name)


def test_the_fault_plan_is_applied_to_the_first_gateway_alone() -> None:
    plan = FakePlan()

    def two(case: Case, bench: Bench) -> Mapping[str, Any]:
        bench.gateway("ip800", name="first")
        bench.gateway("ip800", name="second")
        return {}

    assert outcome_of(two, faults="plan.toml", plan=plan).outcome == "ok"
    assert plan.applied == ["first"]


def test_a_fault_plan_that_was_not_applied_is_an_error() -> None:
    result = outcome_of(lambda case, bench: {}, faults="plan.toml", plan=FakePlan())
    assert (result.outcome, result.message) == (
        "error",
        "fault plan plan.toml was not applied: the scenario made no gateway",
    )


def test_a_misused_bench_is_an_error_in_its_own_words() -> None:
    def misuses(case: Case, bench: Bench) -> Mapping[str, Any]:
        raise RackMisuse("no such thing")

    assert (outcome_of(misuses).outcome, outcome_of(misuses).message) == ("error", "no such thing")


def test_a_long_message_is_cut() -> None:
    def talks(case: Case, bench: Bench) -> Mapping[str, Any]:
        raise DeviceFailure("x" * 10_000, "y")

    assert len(outcome_of(talks).message) == work.MESSAGE_CHARACTERS


def test_the_fingerprint_of_the_code_is_the_same_each_time() -> None:
    assert work.code_fingerprint() == work.code_fingerprint()
    assert isinstance(Scenario("a", "b:c").fingerprint, str)
