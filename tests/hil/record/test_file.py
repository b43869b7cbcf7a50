"""The record's file, and what is said of files that are none."""

from __future__ import annotations

import contextlib
import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hil.bench import Bench
from hil.errors import DeviceFailure, EnvironmentRefused
from hil.record import Repeat, record_from_file
from hil.record.file import ARGUMENTS, FORMAT
from hil.record.hands import Hands

Change = Callable[[dict[str, bytes]], None]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record with bytes both in place and in a blob."""
    path = tmp_path_factory.mktemp("record") / "record.zip"
    with Bench(seed=7, record=path) as bench:
        gateway = bench.gateway(card="ram", card_size="1M")
        gateway.power_on()
        gateway.console.expect("login: ")
        card = gateway.remove_card()
        card.backend.writeblocks(1_000, b"\x77" * 512)
        gateway.insert_card(card)
        bench.run_for(ms=100)
    return path


@pytest.fixture
def changed(record: Path, tmp_path: Path) -> Callable[[Change], Path]:
    """``changed(change)``: a copy of the record whose files went through ``change``."""

    def make(change: Change) -> Path:
        with zipfile.ZipFile(record) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        change(files)
        path = tmp_path / "changed.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path

    return make


def set_fact(name: str, value: Any) -> Change:
    def change(files: dict[str, bytes]) -> None:
        facts = json.loads(files["record.json"])
        facts[name] = value
        files["record.json"] = json.dumps(facts).encode()

    return change


def set_line(number: int, line: object) -> Change:
    def change(files: dict[str, bytes]) -> None:
        lines = files["actions.jsonl"].splitlines()
        lines[number] = json.dumps(line).encode()
        files["actions.jsonl"] = b"\n".join(lines)

    return change


def test_what_is_written_is_read(record: Path, tmp_path: Path) -> None:
    first = record_from_file(record)
    first.to_file(tmp_path / "again.zip")
    assert record_from_file(tmp_path / "again.zip") == first
    assert (tmp_path / "again.zip").read_bytes() == record.read_bytes()


def test_a_record_holds_long_bytes_once_and_under_their_digest(record: Path) -> None:
    with zipfile.ZipFile(record) as archive:
        blobs = [name for name in archive.namelist() if name.startswith("blobs/")]
        assert len(blobs) == 1
        assert b'"blob"' in archive.read("actions.jsonl")
        modes = {info.external_attr >> 16 for info in archive.infolist()}
    assert {stat.S_IMODE(mode) for mode in modes} == {0o600}
    assert record.stat().st_size < 20_000


def test_every_kind_of_action_can_be_done() -> None:
    with Bench(seed=1) as bench:
        hands = Hands(bench)
    driven = {"go", "stop", "alarm", "cancel"}
    assert set(ARGUMENTS) - driven == set(hands._deeds)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_fact("format", FORMAT + 1), f"format {FORMAT + 1}, this program knows {FORMAT}"),
        (set_fact("seed", "seven"), "seed is str 'seven', must be int"),
        (set_fact("other", 1), "record.json must have"),
        (lambda files: files.pop("record.json"), "no item named 'record.json'"),
        (lambda files: files.pop("trace.tsv"), "no item named 'trace.tsv'"),
        (lambda files: files.update({"record.json": b"[]"}), "says no format"),
        (lambda files: files.update({"record.json": b"{"}), "is not a record"),
        (lambda files: files.update({"actions.jsonl": b"\xff"}), "is not a record"),
        (lambda files: files.update({"trace.tsv": b"x\n" * 100_000}), "100000 trace events of"),
        (set_line(0, {}), "action 1: an action is dict"),
        (set_line(0, [0, 0, 0]), "action 1: 3 values, at least 4"),
        (set_line(0, [0, 0, 0, "explode"]), "unknown kind 'explode'"),
        (set_line(0, [0, 0, 0, "power", 0]), "power with 1 arguments, must be 2"),
        (set_line(0, [0, 0, 0, "power", 0, 1]), "an argument of power is int '1', must be bool"),
        (set_line(0, [0, 0, "x", "power", 0, True]), "its place is str"),
        (set_line(0, [0, 0, 0, "type", 0, "\u20ac"]), "action 1: "),
        (set_line(0, [0, 0, 0, "type", 0, {"blob": "00"}]), "action 1: "),
        (set_line(0, [10**9, 0, 0, "power", 0, True]), "out of order"),
        (set_line(-1, [0, 0, 0, "power", 0, True]), "out of order"),
    ],
)
def test_a_file_that_is_no_record_is_refused_in_one_line(
    changed: Callable[[Change], Path], change: Change, reason: str
) -> None:
    path = changed(change)
    with pytest.raises(EnvironmentRefused) as caught:
        record_from_file(path)
    assert reason in str(caught.value)
    assert str(caught.value).startswith(f"{path} is not a record")
    assert "\n" not in str(caught.value)


def test_a_blob_that_was_changed_is_noticed(changed: Callable[[Change], Path]) -> None:
    def change(files: dict[str, bytes]) -> None:
        name = next(name for name in files if name.startswith("blobs/"))
        files[name] = files[name][:-1] + b"?"

    with pytest.raises(EnvironmentRefused, match="does not have its digest"):
        record_from_file(changed(change))


def test_a_file_that_is_cut_short_or_missing_is_refused(record: Path, tmp_path: Path) -> None:
    content = record.read_bytes()
    path = tmp_path / "short.zip"
    for size in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(EnvironmentRefused, match=r"short\.zip is not a record"):
            record_from_file(path)
    with pytest.raises(EnvironmentRefused, match="no such file"):
        record_from_file(tmp_path / "none.zip")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
def test_one_damaged_byte_is_refused_or_harmless(record: Path, tmp_path: Path, place: float, value: int) -> None:
    content = bytearray(record.read_bytes())
    content[int(place * len(content))] ^= value
    path = tmp_path / "damaged.zip"
    path.write_bytes(content)
    with contextlib.suppress(EnvironmentRefused):
        assert record_from_file(path) == record_from_file(record)


@pytest.mark.parametrize(
    "line",
    [
        [0, 0, 0, "power", 7, True],
        [0, 0, 0, "power", -1, True],
        [0, 0, 0, "insert", 0, 9, {}, [], ""],
        [0, 0, 0, "insert", 0, 9, {"sectors": "many"}, [], ""],
        [0, 0, 0, "write", 3, "x"],
        [0, 0, 0, "tls", 1, {}],
        [0, 0, 0, "lan", "burn", [], {}],
        [0, 0, 0, "lan", "set", [], {"colour": 1}],
        [0, 0, 0, "faults", 0, [{"fault": "melt"}], True],
        [0, 0, 0, "gateway", {"model": "ip800"}, ""],
        [0, 0, 0, "gateway", {"model": "none", "mac": "00" * 6, "name": "x", "factory": "v7"}, ""],
        [0, 0, 0, "stop", 0, "", ""],
    ],
)
def test_actions_that_make_no_sense_end_the_repetition_in_one_line(
    changed: Callable[[Change], Path], line: list[Any]
) -> None:
    repeat = Repeat(record_from_file(changed(set_line(1, line))))
    with pytest.raises((EnvironmentRefused, DeviceFailure)):
        repeat.run()


def test_a_models_file_cannot_leave_its_folder(changed: Callable[[Change], Path], tmp_path: Path) -> None:
    facts = {"model": "lab.toml", "mac": "00" * 6, "name": "x", "factory": "v7", "files": {"../../evil": "x"}}
    path = changed(set_line(1, [0, 0, 0, "gateway", facts, ""]))
    with pytest.raises(EnvironmentRefused, match=r"file '\.\./\.\./evil' of a model"):
        Repeat(record_from_file(path)).run()
