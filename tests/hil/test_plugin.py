"""The pytest plugin, seen by pytest itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

Run = Callable[..., pytest.RunResult]


def test_console_is_logged_in_on_a_booted_board(run_pytest: Run) -> None:
    result = run_pytest(
        """
        def test_it(bench, board, console):
            assert console.run("ser", check=False).error is None
            assert board.leds()["ready"] == "green"
            assert bench.gateways == [board]
        """
    )
    result.assert_outcomes(passed=1)


def test_card_is_in_the_slot_and_can_be_looked_at(run_pytest: Run) -> None:
    result = run_pytest(
        """
        def test_it(card, console):
            assert card.inserted
            assert "CA" in card.listing()
            card.remove()
            console.expect("card removed")
        """
    )
    result.assert_outcomes(passed=1)


def test_a_marker_chooses_the_board(run_pytest: Run) -> None:
    result = run_pytest(
        """
        import pytest

        @pytest.mark.gatebench(model="ip305", time="2030-02-03T00:00:00Z")
        def test_it(board):
            assert board.netbios.startswith("IP305-")
            assert board.board.rtc.datetime()[0] == 2030
        """
    )
    result.assert_outcomes(passed=1)


def test_a_failure_tells_seed_time_last_bytes_and_the_command_that_repeats_it(run_pytest: Run) -> None:
    result = run_pytest(
        """
        def test_it(board):
            board.console.expect("never said", timeout_ms=25)
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*expected 'never said' within 25 ms",
            "*last events*",
            "*repeat: pytest test_it.py::test_it --gatebench-seed *",
            "*- gatebench -*",
            "virtual time: 0.0* s",
            "seed: *",
            "repeat: pytest test_it.py::test_it --gatebench-seed *",
            "IP800-06-11-ac, last bytes of *",
            "*login: *",
        ]
    )


def test_any_failure_of_a_test_with_a_bench_tells_it_not_only_the_consoles(run_pytest: Run) -> None:
    result = run_pytest("def test_it(bench): assert bench.seed is None")
    result.stdout.fnmatch_lines(["*- gatebench -*", "repeat: pytest *"])


def test_the_seed_follows_from_the_name_and_can_be_set(run_pytest: Run, pytester: pytest.Pytester) -> None:
    source = """
        import pathlib

        def test_it(bench, board):
            board.console.run
            with open("seeds", "a") as file:
                file.write(f"{bench.seed} {bench.trace.digest()}\\n")
        """
    for arguments in ((), (), ("--gatebench-seed", "5"), ("--gatebench-seed", "5")):
        run_pytest(source, *arguments).assert_outcomes(passed=1)
    first, second, third, fourth = (pytester.path / "seeds").read_text().splitlines()
    assert first == second
    assert third == fourth
    assert third.startswith("5 ")
    assert first != third


def test_a_failed_test_leaves_its_artifacts_and_a_passed_one_leaves_none(
    run_pytest: Run, pytester: pytest.Pytester
) -> None:
    result = run_pytest(
        """
        def test_bad(card, console):
            assert False

        def test_good(console):
            pass
        """,
        "--gatebench-artifacts",
        "left",
    )
    result.assert_outcomes(passed=1, failed=1)
    (folder,) = (pytester.path / "left").iterdir()
    assert folder.name == "test_it.py-test_bad"
    assert {path.name for path in folder.iterdir()} == {
        "IP800-06-11-ac.console.log",
        "IP800-06-11-ac.flash",
        "IP800-06-11-ac.card.img",
        "IP800-06-11-ac.saved.zip",
        "record.zip",
        "trace.tsv",
    }
    assert "login: admin" in (folder / "IP800-06-11-ac.console.log").read_text()
    result.stdout.fnmatch_lines(["left behind: left/test_it.py-test_bad/IP800-06-11-ac.console.log"])


def test_what_needs_a_real_board_is_skipped_on_an_emulated_one(run_pytest: Run) -> None:
    result = run_pytest(
        """
        import pytest

        @pytest.mark.needs_real
        def test_real(board): pass

        @pytest.mark.needs_faults
        def test_faults(bench): pass
        """,
        "-rs",
    )
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*needs a real board*"])


def test_the_rack_file_chooses_the_board(run_pytest: Run, pytester: pytest.Pytester) -> None:
    rack = pytester.path / "rack.toml"
    rack.write_text('[board]\nkind = "emulated"\nmodel = "ip305"\n')
    source = "def test_it(rack, board): assert (rack.kind, board.model.name) == ('emulated', 'ip305')"
    run_pytest(source, "--gatebench-rack", str(rack)).assert_outcomes(passed=1)


def test_a_real_board_is_not_supported_so_far_and_says_so(run_pytest: Run, pytester: pytest.Pytester) -> None:
    rack = pytester.path / "rack.toml"
    rack.write_text('[board]\nkind = "serial"\nurl = "/dev/ttyUSB0"\n')
    result = run_pytest("def test_it(board): pass", "--gatebench-rack", str(rack), "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*kind serial are not supported*"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such file"),
        ("[board", "not TOML"),
        ("", "one table"),
        ("[board]\n[other]", "one table"),
        ('[board]\nkind = "cloud"', "kind 'cloud' must be one of"),
        ('[board]\nmodle = "ip800"', "unknown field 'modle'"),
        ("[board]\nmodel = 800", "model = 800 must be of type str"),
    ],
)
def test_a_rack_file_that_cannot_be_used_is_wrong_usage(
    run_pytest: Run, pytester: pytest.Pytester, content: str | None, reason: str
) -> None:
    rack = pytester.path / "rack.toml"
    if content is not None:
        rack.write_text(content)
    result = run_pytest("def test_it(rack): pass", "--gatebench-rack", str(rack))
    assert result.ret != 0
    assert any(reason in line for line in result.outlines + result.errlines)


def test_nothing_of_ours_is_loaded_for_tests_that_do_not_ask(
    pytester: pytest.Pytester, plugin_arguments: tuple[str, ...]
) -> None:
    root = Path(__file__).parents[2]
    pytester.makepyfile(
        test_it="""
        import sys

        def test_it():
            assert not {name for name in sys.modules if name.split(".")[0] in ("board", "firmware", "cfcard")}
            assert "hil.bench" not in sys.modules
        """
    )
    pytester.makeini(f"[pytest]\npythonpath = {root}\n")
    pytester.syspathinsert(root)
    pytester.runpytest_subprocess(*plugin_arguments).assert_outcomes(passed=1)
