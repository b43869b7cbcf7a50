"""The ``gatebench`` command itself: quick, and one line per error."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from hil.cli import main

ROOT = Path(__file__).parents[2]
FREE_PORTS = ["--https", "0", "--http", "0", "--sips", "0"]


def test_help_names_the_commands_and_loads_none_of_them() -> None:
    code = (
        "import sys, hil.cli; hil.cli.main(['--help']);"
        "sys.exit(len({name.split('.')[0] for name in sys.modules} & {'board', 'firmware', 'cfcard', 'cryptography'}))"
    )
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "run " in done.stdout
    assert "card " in done.stdout
    # The promise is 0.3 s on a quiet machine; the machine of a test run is not.
    assert time.perf_counter() - began < 3


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("gatebench 0.")


@pytest.mark.parametrize("arguments", [[], ["fly"], ["--colour"], ["run", "now"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("gatebench")


def test_card_commands_are_reached(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = str(tmp_path / "card.img")
    assert main(["card", "new", image, "--size", "4M"]) == 0
    assert main(["card", "ls", image]) == 0
    assert "CA" in capsys.readouterr().out


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m hil --help | true", shell=True, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["run", "--bogus"], "gatebench: unrecognized arguments: --bogus (see gatebench run --help)"),
        (["storm", "5"], "gatebench: unrecognized arguments: 5 (see gatebench storm --help)"),
        (
            ["storm", "--keys", "2048"],
            "gatebench: unrecognized arguments: --keys 2048, did you mean --key? (see gatebench storm --help)",
        ),
        (
            ["run", "--seed", "x"],
            "gatebench: argument --seed: 'x' is not a seed: a whole number (see gatebench run --help)",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == line + "\n"


@pytest.mark.parametrize(
    ("first", "second"), [("--trace", "--vcd"), ("--card", "--trace"), ("--flash", "--vcd"), ("--trace", "--ready")]
)
def test_what_is_written_is_no_other_file_of_the_run(
    first: str, second: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "precious"
    place.write_bytes(b"what was there")
    assert main(["run", first, str(place), second, str(place), "--console", "none", "--for", "0", *FREE_PORTS]) == 2
    known, other = (second, first) if second == "--ready" else (first, second)
    assert capsys.readouterr().err == f"gatebench: {other} {place}: is the same file as {known}\n"
    assert place.read_bytes() == b"what was there"


@pytest.mark.parametrize("option", ["--ready", "--flash"])
def test_a_file_in_a_directory_that_is_not_there_is_refused_before_anything_starts(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "missing" / "file"
    assert main(["run", option, str(place), "--console", "none", "--for", "0", *FREE_PORTS]) == 3
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(place) in error
