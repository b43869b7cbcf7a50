"""Where board, card and firmware meet: the one place that hands hardware to the firmware.

The type checker proves on these lines that ``board`` and ``cfcard`` fit the firmware's protocols, though neither
imports them.
"""

from __future__ import annotations

from board import Board
from cfcard.fat import Fat
from firmware import boot, hal


def start_firmware(board: Board) -> boot.Program:
    """What a board runs at each power-on and reset."""
    hardware: hal.Hardware = board
    filesystem: hal.FileSystem = Fat(now=lambda: _file_time(board))
    return boot.start(hardware, filesystem)


def _file_time(board: Board) -> tuple[int, int, int, int, int, int]:
    """What files are dated with: the board's clock."""
    year, month, day, _, hour, minute, second, _ = board.rtc.datetime() or (1980, 1, 1, 1, 0, 0, 0, 0)
    return year, month, day, hour, minute, second
