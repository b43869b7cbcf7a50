"""Calibration: from measured handshake times to a model that takes as long."""

from __future__ import annotations

from pathlib import Path

import pytest

from board import Model, ModelError, model_named
from board.model import model_from_file
from hil.bench import Bench
from hil.calibrate import Measurement, fit, measurements_from_file
from hil.cli import main
from hil.errors import RackMisuse
from hil.modelfile import save_model, toml_text
from hil.tlsclient import TlsClient

OVERHEAD = 250_000
"""Cycles of hashes and records in a handshake, as of a base model."""


def rows(times: dict[int, float]) -> list[Measurement]:
    return [Measurement(line, bits, ms) for line, (bits, ms) in enumerate(times.items(), 1)]


def ip800() -> Model:
    return model_named("ip800")


def synthetic_ms(bits: int, mhz: int, fixed_cycles: int = 500_000) -> float:
    """What a board with ip800's code at another clock rate takes."""
    return (ip800().costs.rsa_private(bits) + fixed_cycles + OVERHEAD) / (mhz * 1_000)


def test_a_board_with_the_same_code_at_another_clock_rate_is_found_again() -> None:
    times = {bits: synthetic_ms(bits, 133) for bits in (1024, 2048, 4096)}
    found = fit(rows(times), ip800(), overhead=OVERHEAD)
    assert found.mhz == 133
    for bits, ms in times.items():
        assert found.private[bits] == pytest.approx(ip800().costs.rsa_private(bits), rel=0.02)
        assert found.predicted_ms(bits) == pytest.approx(ms, rel=0.001)
    assert found.handshake == pytest.approx(500_000, rel=0.02)
    assert found.r_squared == pytest.approx(1)
    assert not found.fixed_fitted


def test_with_four_lengths_the_fixed_part_is_fitted() -> None:
    """A board whose fixed part is nothing like ours: 20 ms beside 48 ms for 1024 bits."""
    times = {bits: 48 * (bits / 1024) ** 2.8 + 20 for bits in (1024, 1536, 2048, 3072, 4096)}
    found = fit(rows(times), ip800(), overhead=OVERHEAD)
    assert found.fixed_fitted
    assert (found.handshake + found.overhead) / (found.mhz * 1_000) == pytest.approx(20, rel=0.02)
    assert found.per_doubling == pytest.approx(2**2.8, rel=0.01)
    assert found.law_error < 0.01


def test_noise_shows_in_r_squared_and_in_the_residuals() -> None:
    calm = fit(rows({1024: 50, 2048: 300, 4096: 1800}), ip800(), overhead=OVERHEAD)
    noisy = fit([*rows({1024: 50, 2048: 300, 4096: 1500}), Measurement(9, 4096, 2100)], ip800(), overhead=OVERHEAD)
    assert calm.r_squared == pytest.approx(1)
    assert noisy.r_squared is not None
    assert noisy.r_squared < 0.97
    assert any("4096   2100.000 ms   1800.000 ms      +16.67 %" in line for line in noisy.report())
    assert "each key length was measured once" in "\n".join(calm.report())


def test_a_weight_pulls_towards_its_measurement() -> None:
    table = [Measurement(1, 1024, 50), Measurement(2, 2048, 300, 3), Measurement(3, 2048, 340, 1)]
    found = fit(table, ip800(), overhead=OVERHEAD)
    assert found.predicted_ms(2048) == pytest.approx(310, rel=0.001)


def test_a_known_clock_rate_scales_what_was_not_measured(tmp_path: Path) -> None:
    times = {bits: synthetic_ms(bits, 100) for bits in (1024, 2048, 4096)}
    found = fit(rows(times), ip800(), overhead=OVERHEAD, mhz=400)
    made = save_model(found, tmp_path / "lab.toml", "test")
    assert made.hz == 400_000_000
    assert "cpu.mhz" not in made.assumed
    assert made.costs.rsa_public(1024) == pytest.approx(4 * 500_000, rel=0.01)
    assert made.costs.digest_per_byte["sha256"] == 260
    assert "times 4.0" in made.costs.sources["digest"]


def test_one_key_length_alone_brings_the_others_with_it(tmp_path: Path) -> None:
    found = fit(rows({1024: synthetic_ms(1024, 50)}), ip800(), overhead=OVERHEAD)
    made = save_model(found, tmp_path / "lab.toml", "test")
    assert (made.costs.rsa_private(4096) + 750_000) / made.hz * 1_000 == pytest.approx(synthetic_ms(4096, 50), rel=0.02)
    assert found.per_doubling is None


def test_the_written_model_says_where_its_figures_come_from(tmp_path: Path) -> None:
    found = fit(rows({1024: 50, 2048: 300}), ip800(), overhead=OVERHEAD)
    save_model(found, tmp_path / "lab.toml", 'fitted to "a.csv"')
    made = model_from_file(tmp_path / "lab.toml")
    assert made.name == made.costs.name == "lab"
    assert made.sources["cpu.cost_table"] == made.costs.sources["rsa_private"] == 'fitted to "a.csv"'
    assert "cpu.mhz" in made.assumed
    assert "handshake" in made.costs.assumed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["costs", "lab.toml"], "no drafts are left behind"


def test_a_name_that_is_none_for_a_model_is_refused_and_nothing_written(tmp_path: Path) -> None:
    found = fit(rows({1024: 50, 2048: 300}), ip800(), overhead=OVERHEAD)
    with pytest.raises(RackMisuse, match=r"must be called NAME\.toml"):
        save_model(found, tmp_path / "Lab 1.toml", "test")
    assert list(tmp_path.iterdir()) == []


def test_a_longer_key_that_is_not_slower_is_refused_with_its_lines() -> None:
    with pytest.raises(RackMisuse, match="lines 1, 2: 2048 bits take no longer than 1024 bits"):
        fit(rows({1024: 50, 2048: 50}), ip800(), overhead=OVERHEAD)


def test_a_clock_rate_out_of_reach_is_refused() -> None:
    with pytest.raises(RackMisuse, match="clock rate comes out at 0 MHz: must be 1 to 5000"):
        fit(rows({1024: 60_000, 2048: 360_000}), ip800(), overhead=OVERHEAD)


def test_headings_remarks_blank_lines_and_weights_are_read(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("\ufeff# measured on a Monday\nkey_bits,milliseconds,weight\r\n\n1024, 52.6\n 2048,315,2.5\n")
    assert measurements_from_file(table) == [Measurement(4, 1024, 52.6), Measurement(5, 2048, 315, 2.5)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2048", r"t\.csv:2: fields: 1, must be key_bits,milliseconds\[,weight\]"),
        ("2048,1,2,3", r"t\.csv:2: fields: 4"),
        ("2048,fast", r"t\.csv:2: milliseconds 'fast': must be a number"),
        ("2048,nan", r"t\.csv:2: milliseconds 'nan': must be a number"),
        ("2048,-1", r"t\.csv:2: milliseconds '-1': must be a number from 0 to 3\.6e\+06"),
        ("2048,0", r"t\.csv:2: milliseconds '0': must be above 0"),
        ("2048,5,0", r"t\.csv:2: weight '0': must be above 0"),
        ("128,5", r"t\.csv:2: key_bits '128': must be a number from 256 to 16384"),
        ("2048.5,5", r"t\.csv:2: key_bits '2048\.5': must be a whole number"),
        ("key_bits,milliseconds", r"t\.csv:2: key_bits 'key_bits': must be a number"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, line: str, message: str) -> None:
    table = tmp_path / "t.csv"
    table.write_text(f"1024,50\n{line}\n")
    with pytest.raises(RackMisuse, match=message):
        measurements_from_file(table)


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("key_bits,milliseconds\n# nothing\n")
    with pytest.raises(RackMisuse, match="holds no measurement"):
        measurements_from_file(tmp_path / "t.csv")


def test_plain_values_become_toml_that_reads_the_same() -> None:
    import tomllib

    values = {"name": 'a "b" \\ é', "flag": True, "list": ["x", "y"], "table": {"a.b": 1, "plain": 2.5}}
    assert tomllib.loads(toml_text(values)) == values


# -- end to end


def handshakes_ms(model: str, keys: tuple[int, ...]) -> dict[int, float]:
    """CPU time of a server handshake on an emulated board, as its console tells it."""
    times = {}
    with Bench(seed=5) as bench:
        gateway = bench.gateway(model)
        gateway.power_on()
        gateway.console.login()
        for bits in keys:
            gateway.console.run(f"x509 servercert-create /key {bits}-bit /signature SHA256 /dn-cn calibration")
            gateway.console.run("x509 servercert-wait", timeout_ms=36_000_000)
            with TlsClient(gateway.connect(443)) as client:
                client.handshake(timeout_ms=60_000)
            times[bits] = gateway.console.run("cpu mips-usage /json").json["tls"]["last_us"] / 1_000
    return times


@pytest.mark.slow
def test_a_synthetic_board_is_met_within_2_percent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A board unlike any of ours is measured, calibrated from that table, and measured again."""
    strange = fit(rows({1024: 81, 2048: 560, 4096: 3_100}), ip800(), overhead=OVERHEAD, mhz=166)
    save_model(strange, tmp_path / "strange.toml", "made up")
    keys = (1024, 2048, 4096)
    real = handshakes_ms(str(tmp_path / "strange.toml"), keys)
    table = tmp_path / "table.csv"
    table.write_text("key_bits,milliseconds\n" + "".join(f"{bits},{ms}\n" for bits, ms in real.items()))
    assert main(["calibrate", str(table), "--model", "lab", "--out", str(tmp_path / "lab.toml")]) == 0
    assert "R² 1.000000 (measurements: 3, key lengths: 3)" in capsys.readouterr().out
    again = handshakes_ms(str(tmp_path / "lab.toml"), keys)
    for bits in keys:
        assert again[bits] == pytest.approx(real[bits], rel=0.02)


def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "t.csv"
    table.write_text("1024,50\n2048,many\n")
    assert main(["calibrate", str(table), "--model", "lab", "--out", str(tmp_path / "lab.toml")]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "gatebench: t.csv:2: milliseconds 'many': must be a number from 0 to 3.6e+06"
    ]
    assert main(["calibrate", str(tmp_path / "none.csv"), "--model", "lab"]) == 3
    assert main(["calibrate", str(table), "--model", "lab", "--out", str(tmp_path / "other.toml")]) == 2
    assert main(["calibrate", str(table), "--model", "lab", "--mhz", "fast"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_a_model_file_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text("name = 'lab'\n")
    with Bench(seed=1) as bench, pytest.raises(RackMisuse, match=r"lab\.toml: product is missing"):
        bench.gateway(str(tmp_path / "lab.toml"))
    with pytest.raises(ModelError):
        model_from_file(tmp_path / "lab.toml")
