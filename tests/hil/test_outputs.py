"""Files that are to be written: refused before the work where they cannot be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hil.errors import EnvironmentRefused, RackMisuse
from hil.outputs import require_writable, write_output


def test_files_that_can_be_written_are_let_through_and_nothing_is_left_behind(tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text("kept")
    require_writable({"--json": old, "--html": tmp_path / "new.html", "--trace": None})
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
    assert old.read_text() == "kept"


@pytest.mark.parametrize(("name", "reason"), [(".", "is a directory"), ("no/report", "no such file or directory")])
def test_what_cannot_be_written_is_told_with_its_option(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(EnvironmentRefused, match=rf"^--json .*: cannot be written: {reason}$"):
        require_writable({"--json": tmp_path / name})


def test_one_file_cannot_be_two_outputs_whatever_it_is_called(tmp_path: Path) -> None:
    with pytest.raises(RackMisuse, match=r"^--html .*: is the same file as --json$"):
        require_writable({"--json": tmp_path / "report", "--html": tmp_path / "." / "report"})


def test_what_is_read_is_not_written_over(tmp_path: Path) -> None:
    record = tmp_path / "record.zip"
    record.write_bytes(b"a record")
    with pytest.raises(RackMisuse, match=r"is the same file as the record$"):
        require_writable({"--save": record}, {"the record": record})


def test_a_device_may_take_several_outputs() -> None:
    require_writable({"--json": os.devnull, "--html": os.devnull})


def test_a_full_disk_is_told_with_the_files_name() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with pytest.raises(EnvironmentRefused, match=r"^/dev/full: cannot be written: no space left on device$"):
        write_output(Path("/dev/full"), "much")


def test_a_file_that_somebody_waits_for_is_not_there_before_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = tmp_path / "ready.json"
    opened: list[Path] = []
    monkeypatch.setattr(Path, "open", lambda path, mode: opened.append(path))
    require_writable({"--ready": ready})
    assert opened == []
    assert list(tmp_path.iterdir()) == []
