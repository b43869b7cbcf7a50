"""What a failed test leaves behind, and that its run can be repeated from it; seen by pytest itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hil.artifacts import KEPT, TRACE, prune
from hil.cli import main

pytest_plugins = ["pytester"]

Run = Callable[..., pytest.RunResult]

FAILING = """
    def test_bad(card, console):
        console.run("card ls")
        card.remove()
        console.expect("card removed")
        assert False
    """


def test_a_failed_test_leaves_its_record_in_the_root_directory_and_names_the_command(
    run_pytest: Run, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run_pytest(FAILING)
    folder = ".gatebench/failures/test_it.py-test_bad"
    result.stdout.fnmatch_lines([f"record: gatebench repeat {folder}/record.zip"])
    assert (pytester.path / ".gatebench" / ".gitignore").read_text().endswith("*\n")
    assert "card removed" in (pytester.path / folder / "IP800-06-11-ac.console.log").read_text()
    capsys.readouterr()
    assert main(["repeat", f"{folder}/record.zip", "--console"]) == 0
    out = capsys.readouterr().out
    assert "card removed" in out
    assert out.rstrip().endswith(", as recorded")


def test_a_passed_test_leaves_nothing_at_all(run_pytest: Run, pytester: pytest.Pytester) -> None:
    run_pytest("def test_good(console): pass").assert_outcomes(passed=1)
    assert not (pytester.path / ".gatebench").exists()


def test_a_second_failure_takes_the_place_of_the_first(run_pytest: Run, pytester: pytest.Pytester) -> None:
    run_pytest(FAILING)
    (folder,) = (pytester.path / ".gatebench" / "failures").iterdir()
    assert (folder / "IP800-06-11-ac.flash").exists()
    run_pytest("def test_bad(bench): assert False")
    assert {path.name for path in folder.iterdir()} == {"record.zip", TRACE}


def test_the_default_folder_keeps_the_newest_failures_and_what_is_not_ours(tmp_path: Path) -> None:
    failures = tmp_path / "failures"
    for number in range(KEPT + 3):
        folder = failures / f"test-{number:02}"
        folder.mkdir(parents=True)
        (folder / TRACE).touch()
        os.utime(folder / TRACE, (number + 1, number + 1))
    (failures / "notes").mkdir()
    prune(tmp_path)
    assert sorted(path.name for path in failures.iterdir()) == ["notes", *(f"test-{n:02}" for n in range(3, KEPT + 3))]


def test_a_card_image_takes_no_room_where_it_is_empty(run_pytest: Run, pytester: pytest.Pytester) -> None:
    run_pytest("def test_bad(card): assert False")
    image = next((pytester.path / ".gatebench").rglob("*.card.img"))
    assert image.stat().st_size == 64 * 1024**2
    assert image.stat().st_blocks * 512 < 2 * 1024**2


def test_a_folder_that_cannot_be_made_is_said_and_is_no_second_failure(
    run_pytest: Run, pytester: pytest.Pytester
) -> None:
    (pytester.path / ".gatebench").write_text("in the way")
    result = run_pytest(FAILING)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["not all could be left behind in *"])


def test_the_help_says_how_many_failures_are_kept(run_pytest: Run) -> None:
    result = run_pytest("", "--help")
    assert f"keeps the newest {KEPT})" in " ".join(result.stdout.str().split())
