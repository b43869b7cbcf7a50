"""The sweep of power losses: its failure models, that it finds what is wrong, and a reduced run that finds nothing."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import signal
import tempfile
import time
from pathlib import Path

import pytest

from cfcard import RamDevice
from cfcard.fat import Fat
from firmware.rootca import files as ca_files
from firmware.rootca import task as ca_task
from hil.cli import main
from hil.errors import EnvironmentRefused, RackMisuse
from hil.sweep.powerloss import REDUCED, Job, Tally, jobs, run, run_job
from hil.sweep.powerloss.device import Mark, RecordingDevice, Sync, Write
from hil.sweep.powerloss.flash import FLASH_MODELS, FLASH_OPERATIONS, run_flash_job
from hil.sweep.powerloss.models import MODELS, Samples, cuts
from hil.sweep.powerloss.operations import OPERATIONS
from hil.sweep.powerloss.report import text_from_tally
from hil.sweep.powerloss.run import repeat

OLD, NEW = b"o" * 512, b"n" * 512

CHEAP = dataclasses.replace(REDUCED, stride=1, recovery=10_000, recovery_models=10_000)


@pytest.fixture
def card() -> RamDevice:
    device = RamDevice(64 * 512)
    for lba in range(64):
        device.writeblocks(lba, OLD)
    return device


def writes(count: int, *, sync_after: int = 0) -> list[Write | Sync | Mark]:
    events: list[Write | Sync | Mark] = []
    for number in range(1, count + 1):
        events.append(Write(number, NEW))
        if number == sync_after:
            events += [Sync(), Mark("told", number)]
    return events


def test_clean_cuts_are_the_prefixes_and_the_end(card: RamDevice) -> None:
    found = list(cuts("clean", card, {}, writes(3, sync_after=2), Samples(), "1"))
    assert [sorted(cut.overlay) for cut in found] == [[], [1], [1, 2], [1, 2, 3]]
    assert [len(cut.marks) for cut in found] == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("model", "content"),
    [
        ("tear-head", NEW[:256] + OLD[256:]),
        ("tear-tail", OLD[:256] + NEW[256:]),
        ("ones", b"\xff" * 512),
        ("zeros", bytes(512)),
        ("unreadable", None),
    ],
)
def test_a_spoiled_sector_holds_what_its_model_says(card: RamDevice, model: str, content: bytes | None) -> None:
    found = list(cuts(model, card, {}, writes(2), Samples(), "1"))
    assert [dict(cut.overlay) for cut in found] == [{1: content}, {1: NEW, 2: content}]


def test_reordering_tries_every_subset_behind_the_last_sync(card: RamDevice) -> None:
    found = list(cuts("reorder", card, {}, writes(5, sync_after=2), Samples(), "1"))
    assert sorted(sorted(cut.overlay) for cut in found if 3 in cut.overlay or 4 in cut.overlay)[0][:2] == [1, 2]
    assert len({frozenset(cut.overlay) for cut in found}) == 4 + 8 - 1
    assert all(not cut.marks for cut in found if not {1, 2} <= set(cut.overlay))


def test_a_forgetful_card_loses_none_but_the_last_32_sectors(card: RamDevice) -> None:
    found = list(cuts("forget", card, {}, writes(50), Samples(forget=20), "1"))
    assert all(set(range(1, cut.at - 32)) <= set(cut.overlay) for cut in found)
    assert any(cut.at - 32 not in cut.overlay for cut in found if cut.at > 33)


def test_a_forgotten_sector_is_as_it_was_before_that_write(card: RamDevice) -> None:
    events: list[Write | Sync | Mark] = [Write(7, b"1" * 512), Sync(), Write(7, b"2" * 512), Sync()]
    contents = {cut.overlay.get(7) for cut in cuts("forget", card, {}, events, Samples(forget=30), "1")}
    assert contents == {None, b"1" * 512, b"2" * 512}


def test_the_same_seed_draws_the_same_states(card: RamDevice) -> None:
    for model in ("garbage", "reorder", "forget"):
        one, same, other = (list(cuts(model, card, {}, writes(20), Samples(), seed)) for seed in ("1", "1", "2"))
        assert one == same
        assert one != other


def test_a_record_leaves_the_card_below_it_alone_and_an_unreadable_sector_heals_when_written(card: RamDevice) -> None:
    device = RecordingDevice(card, {3: None})
    sector = bytearray(1024)
    with pytest.raises(OSError, match="sector 3 unreadable"):
        device.readblocks(2, sector)
    device.writeblocks(3, NEW)
    device.readblocks(2, sector)
    assert bytes(sector) == OLD + NEW
    card.readblocks(2, sector)
    assert bytes(sector) == OLD + OLD


def losses(tally: Tally) -> list[str]:
    return [line for failure in tally.failures for line in failure.wrong]


@pytest.mark.slow
@pytest.mark.parametrize("volume", REDUCED.volumes)
def test_nothing_is_lost_in_a_reduced_sweep(volume: str) -> None:
    total = Tally()
    for job in jobs(REDUCED):
        if job.volume == volume:
            total.add(run_job(job, REDUCED, seed=1))
    assert total.failures == []
    assert {model for model in total.states if not model.startswith("+")} == set(MODELS)
    assert sum(total.states.values()) > 1_500


@pytest.mark.slow
def test_nothing_is_lost_on_the_other_volumes_when_a_ca_is_made_on_them() -> None:
    effort = dataclasses.replace(REDUCED, samples=Samples(2, 1, 1))
    for volume in ("fat16-mbr", "fat16-tiny", "fat32-short"):
        for model in ("clean", "ones", "forget"):
            assert run_job(Job(volume, "issue-backup", model), effort, seed=1).failures == []


@pytest.mark.parametrize("operation", FLASH_OPERATIONS)
def test_nothing_is_lost_in_flash(operation: str) -> None:
    for model in FLASH_MODELS if operation != "compaction" else ("zeros",):
        tally = run_flash_job(operation, model, seed=1)
        assert tally.failures == []
        assert sum(tally.states.values()) >= 5


def test_the_sweep_sees_a_key_that_a_forgetful_card_takes_when_nothing_pushes_it_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def none(self: object, volume: object) -> None:
        return None

    monkeypatch.setattr(ca_task.RootCa, "_pad", none)
    effort = dataclasses.replace(CHEAP, samples=Samples(1, 20, 1))
    assert any("the CA is lost" in line for line in losses(run_job(Job("fat12", "create", "forget"), effort, 1)))
    assert any("issued again" in line for line in losses(run_job(Job("fat12", "serial", "forget"), effort, 1)))


def test_the_sweep_sees_what_one_directory_alone_would_lose(monkeypatch: pytest.MonkeyPatch) -> None:
    # Both "directories" are one: what a destroyed sector takes is gone.
    for module in (ca_files, ca_task):
        monkeypatch.setattr(module, "DIRECTORIES", ("/CA", "/CA"))
    effort = CHEAP
    assert any("the CA is lost" in line for line in losses(run_job(Job("fat12", "serial-digits", "zeros"), effort, 1)))


def test_the_sweep_sees_a_file_that_is_emptied_before_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def naive(self: ca_task.RootCa, volume: object, path: str, data: bytes) -> bool:
        with volume.open(path, "wb") as file:  # type: ignore[attr-defined]
            file.write(data)
        return True

    monkeypatch.setattr(ca_task.RootCa, "_put", naive)
    found = losses(run_job(Job("fat12", "serial", "clean"), REDUCED, 1))
    assert any("a PC does not find the CA" in line for line in found)


def test_the_sweep_sees_when_the_volume_is_not_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fat, "repair", lambda self, device: type("R", (), {"done": (), "left": ()})())
    found = losses(run_job(Job("fat12", "create", "clean"), REDUCED, 1))
    assert any("after recovery: FAT" in line for line in found)


def test_one_state_is_judged_again_by_its_name() -> None:
    tally = repeat("fat12/create/ones/12/0", REDUCED, 1)
    assert tally.states == {"ones": 1}
    tally = repeat("fat12/recover-ca/clean/2/0+zeros/3/0", REDUCED, 1)
    assert tally.states == {"clean": 1, "+zeros": 1}
    assert repeat("flash/clear/zeros/1/0", REDUCED, 1).states == {"flash zeros": 1}
    assert repeat("board/issue-pull/3/0", REDUCED, 1).states == {"whole board, pull": 1}


@pytest.mark.parametrize(
    "state", ["", "fat12", "fat12/create/ones", "fat99/create/ones/1/0", "fat12/create/ones/9999/0"]
)
def test_a_state_that_does_not_exist_is_refused(state: str) -> None:
    with pytest.raises(RackMisuse, match="state"):
        repeat(state, REDUCED, 1)


def test_a_failure_is_listed_with_the_command_that_repeats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ca_task, "PRIMARY", "")  # no number is pushed out of a forgetful card's reach
    effort = dataclasses.replace(CHEAP, samples=Samples(1, 10, 1))
    tally = run_job(Job("fat12", "serial", "forget"), effort, 5)
    text = text_from_tally(tally, 5, 0.1)
    state = next(failure.state for failure in tally.failures if "+" not in failure.state)
    assert f"repeat: gatebench sweep powerloss --seed 5 --only {tally.failures[0].state}" in text
    assert [failure.state for failure in repeat(state, effort, 5).failures] == [state]


def test_the_command_prints_a_table_and_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.json"
    code = main(["sweep", "powerloss", "--seed", "3", "--only", "fat12/serial/clean/2/0", "--json", str(report)])
    out = capsys.readouterr().out
    assert code == 0
    assert out.splitlines()[0].split() == ["model", "states", "distinct", "losses"]
    assert "0 losses in 1 states; seed 3" in out
    data = json.loads(report.read_text())
    assert (data["seed"], data["states"], data["losses"], data["failures"]) == (3, 1, 0, [])


def test_a_wrong_state_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "powerloss", "--only", "nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_every_operation_does_something_on_its_record() -> None:
    for operation in OPERATIONS:
        tally = run_job(Job("fat12", operation.name, "unreadable"), dataclasses.replace(CHEAP, stride=1_000), 1)
        assert tally.states["unreadable"] >= 1, operation.name


def test_a_report_that_cannot_be_written_is_told_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "powerloss", "--json", str(tmp_path)]) == 3
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"gatebench: --json {tmp_path}: cannot be written: is a directory\n")


def test_a_sweep_whose_worker_is_killed_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    # Processes are forked, and so do this, too.
    monkeypatch.setattr(run, "_call", die)
    with pytest.raises(EnvironmentRefused, match="a process of the sweep was killed"):
        run.sweep(REDUCED, 1, processes=2, boards=0)


def test_ctrl_c_ends_it_at_once_with_one_line_and_nothing_is_left_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(run, "_call", take_long)
    monkeypatch.setenv("GATEBENCH_TEST_BEGUN", str(tmp_path / "begun"))
    others = set(multiprocessing.active_children())
    began_s = time.monotonic()
    assert main(["sweep", "powerloss", "--seed", "1", "--jobs", "2"]) == 1
    assert time.monotonic() - began_s < 30, "though what was being done would take a minute"
    assert set(multiprocessing.active_children()) <= others
    assert list((tmp_path / "temporary").iterdir()) == []
    said = capsys.readouterr()
    assert (said.out, said.err) == (
        "",
        "gatebench: interrupted: power losses are counted as a whole, nothing is kept\n",
    )


def die(_work: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def take_long(_work: object) -> None:
    (Path(tempfile.mkdtemp()) / "card.img").touch()
    try:
        Path(os.environ["GATEBENCH_TEST_BEGUN"]).mkdir()
    except FileExistsError:
        pass
    else:
        os.kill(os.getppid(), signal.SIGINT)  # as soon as anybody is at work, once
    time.sleep(60)
