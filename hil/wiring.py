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
    filesystem: hal.FileSystem = Fat()
    return boot.start(hardware, filesystem)
