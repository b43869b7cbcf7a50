"""Fault plans: what a file says becomes rules, and what it says wrongly becomes one clear line."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from cfcard import Event, Fault
from hil.cli import main
from hil.errors import EnvironmentRefused, RackMisuse
from hil.faultplan import (
    LARGEST_FILE_BYTES,
    FaultPlan,
    fault_plan_from_file,
    fault_plan_from_json,
    fault_plan_from_toml,
)

WORN = """
name = "worn"

[[fault]]
fault = "pull"
at = 40

[[fault]]
event = "read"
sector = [96, 127]
errno = "ENOSPC"
probability = 0.25
state = 2
name = "weak stretch"

[[fault]]
fault = "state"
event = "flush"
new_state = 2

[[fault]]
fault = "slow"
event = "write"
delay_ms = 20
"""


SLOW = '[[fault]]\nfault = "slow"\nevent = "read"\ndelay_ms = 1\nname = "old and slow"\n'


def rule(text: str) -> FaultPlan:
    return fault_plan_from_toml(f"[[fault]]\n{text}", "plan.toml")


def test_a_plan_is_read_as_it_is_written() -> None:
    plan = fault_plan_from_toml(WORN, "worn.toml")
    assert plan.name == "worn"
    pull, weak, state, slow = plan.rules
    assert (pull.fault, pull.event, pull.at, pull.once) == (Fault.PULL, Event.WRITE, 40, True)
    assert (weak.fault, weak.event, weak.sector, weak.errno) == (Fault.ERROR, Event.READ, (96, 127), errno.ENOSPC)
    assert (weak.probability, weak.state, weak.name, weak.once) == (0.25, 2, "weak stretch", False)
    assert (state.event, state.new_state) == (Event.FLUSH, 2)
    assert (slow.delay_ms, slow.factor) == (20.0, 1.0)


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in (Fault.SLOW, Fault.STATE)])
def test_every_fault_is_known_by_its_name(fault: Fault) -> None:
    (made,) = rule(f'fault = "{fault.value}"').rules
    assert made.fault is fault


def test_what_a_rule_says_of_itself_makes_the_same_rule() -> None:
    plan = fault_plan_from_toml(WORN)
    again = fault_plan_from_json(json.dumps([made.values() for made in plan.rules]))
    assert again.rules == plan.rules


def test_a_plan_has_the_name_of_its_file_unless_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "pull.toml").write_text('[[fault]]\nfault = "pull"\n')
    assert fault_plan_from_file(tmp_path / "pull.toml").name == "pull"
    assert fault_plan_from_toml("").rules == ()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("at = ", "is not TOML: "),
        ("[plan]", "plan = {}: a plan has name and [[fault]]"),
        ("name = 7", "name = 7: must be a text that is not empty"),
        ("fault = 7", "fault = 7: must be tables: [[fault]]"),
        ("fault = [1]", "fault = [1]: must be tables: [[fault]]"),
        (
            '[[fault]]\nfault = "cut"\n[[fault]]\nfault = "burn"',
            "fault 2 (burn): fault = 'burn': must be one",
        ),
        (
            '[[fault]]\nevnt = "read"',
            "fault 1 (error): evnt = 'read': there is no such key, only fault, name",
        ),
        ("[[fault]]\nat = 0", "fault 1 (error): at = 0: must be from 1 to"),
        ("[[fault]]\nat = 2.0", "fault 1 (error): at = 2.0: must be a whole number"),
        ("[[fault]]\nat = true", "fault 1 (error): at = True: must be a whole number"),
        ("[[fault]]\nonce = 1", "fault 1 (error): once = 1: must be true or false"),
        ('[[fault]]\nerrno = "EBAD!"', "fault 1 (error): errno = 'EBAD!': must be an error's name"),
        (
            "[[fault]]\nsector = [1, 2, 3]",
            "fault 1 (error): sector = [1, 2, 3]: must be a whole number, or two",
        ),
        ('[[fault]]\nname = "a\\nb"', "fault 1 (error): name = 'a\\nb': must be a text without control"),
        (
            '[[fault]]\nevent = "erase"',
            "fault 1 (error): event = 'erase': must be one of read, write, flush",
        ),
        ('[[fault]]\nfault = "cut"\nerrno = 5', "fault 1 (cut): errno = 5: cut has no errno, only fault"),
        (
            '[[fault]]\nfault = "lose"\nevent = "read"',
            "fault 1 (lose): event = 'read': lose goes with write",
        ),
        ("[[fault]]\nprobability = nan", "fault 1 (error): probability = nan: must be above 0"),
        ('[[fault]]\nfault = "slow"\ndelay_ms = inf', "fault 1 (slow): delay_ms = inf: must be from 0 to"),
        ("[[fault]]\nat = " + "1" * 5_000, "is not TOML: "),
        ("[[fault]]\nat = 0x" + "f" * 5_000, "fault 1 (error): at = int too long to be shown: must be from 1 to"),
        ('[[fault]]\nfault = "slow"\nfactor = 1' + "0" * 400, "fault 1 (slow): factor = 1000"),
        ("[[fault]]\nsector = " + "[" * 100 + "]" * 100, "fault 1 (error): sector = [[[[[["),
        ("a = " + "[" * 60_000, "is not TOML: "),
        ('[[fault]]\nfault = "slow"\nfactor = nan', "fault 1 (slow): factor = nan: must be from 1 to"),
    ],
)
def test_a_bad_plan_is_refused_in_one_line(text: str, line: str) -> None:
    with pytest.raises(RackMisuse) as refusal:
        fault_plan_from_toml(text, "plan.toml")
    assert str(refusal.value).startswith(f"plan.toml: {line}")
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize("text", ["", "7", '"pull"', "[1]", '{"fault": "pull", "at": "4"}', "[" * 100_000])
def test_bad_json_is_refused(text: str) -> None:
    with pytest.raises(RackMisuse, match=r"^body: "):
        fault_plan_from_json(text, "body")


def test_a_file_that_is_no_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentRefused, match=r"nowhere\.toml: cannot be read: no such file"):
        fault_plan_from_file(tmp_path / "nowhere.toml")
    (tmp_path / "card.img").write_bytes(b"\xff" * 512)
    with pytest.raises(RackMisuse, match=r"card\.img: is not UTF-8"):
        fault_plan_from_file(tmp_path / "card.img")
    (tmp_path / "long.toml").write_bytes(b"#" * (LARGEST_FILE_BYTES + 1))
    with pytest.raises(RackMisuse, match="no fault plan"):
        fault_plan_from_file(tmp_path / "long.toml")


@pytest.mark.parametrize("text", ["", "# pull, later\n", 'name = "calm"\n', "fault = []\n"])
def test_a_file_without_a_rule_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "calm.toml").write_text(text)
    with pytest.raises(RackMisuse, match=r"^calm\.toml: holds no rule: at least one \[\[fault\]\] makes a plan$"):
        fault_plan_from_file(tmp_path / "calm.toml")


def test_gatebench_run_refuses_a_bad_plan_before_it_opens_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text("[[fault]]\nat = -1\n")
    image = tmp_path / "card.img"
    assert main(["run", "--faults", str(plan), "--card", str(image), "--console", "none", "--for", "0"]) == 2
    assert "plan.toml: fault 1 (error): at = -1: must be from 1 to" in capsys.readouterr().err
    assert not image.exists()
    assert main(["run", "--faults", str(tmp_path / "none.toml"), "--console", "none", "--for", "0"]) == 3


def test_gatebench_run_says_which_faults_fired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[[fault]]\nfault = "read-once"\nname = "bad start"\n[[fault]]\nfault = "full"\n' + SLOW)
    free = ["--https", "0", "--http", "0", "--sips", "0", "--console", "none", "--seed", "7", "--speed", "max"]
    assert main(["run", "--faults", str(plan), "--card", "ram", "--card-size", "4M", "--for", "1", *free]) == 0
    said = capsys.readouterr().err
    assert "gatebench: fault at 0.000000 s: full but for 0 clusters\n" in said
    assert ": bad start, sector 0\n" in said
    assert said.count("old and slow") == 1, "not at each sector"
    assert ": old and slow, sector 0, and on\n" in said
    assert main(["run", "--faults", str(plan), "--model", "ip232", "--for", "1", *free]) == 2
    assert "gatebench: IP232 has no card slot\n" in capsys.readouterr().err
