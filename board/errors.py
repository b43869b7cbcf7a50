"""What goes wrong on the bench's side of a board.

::

    Exception
     +-- BoardError        the rack misused the board: a second card into a full slot, a press of -5 ms
          +-- ModelError   a model or cost file cannot be used: which file, field, value and limit

What the firmware sees is none of these: a device reports by a status flag (``Uart.take_flags``), or, where MicroPython
raises, by an ``OSError`` with an errno.
"""

from __future__ import annotations


class BoardError(Exception):
    """The rack asked for something that cannot be done to this board."""


class ModelError(BoardError):
    """A model file or a cost file cannot be used."""
