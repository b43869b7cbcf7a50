"""The emulated hardware: a virtual clock, and boards made of parts that speak MicroPython's ``machine`` vocabulary."""

from board.board import Board, Program
from board.clock import FOREVER_NS, Alarm, VirtualClock
from board.cpu import Cpu, CpuReset
from board.errors import BoardError, ModelError
from board.ethernet import Ethernet, Stream
from board.lan import Lan
from board.model import Model, model_from_file, model_named, model_names
from board.pacing import PacedClock
from board.trace import BoardTrace, Trace

__all__ = [
    "FOREVER_NS",
    "Alarm",
    "Board",
    "BoardError",
    "BoardTrace",
    "Cpu",
    "CpuReset",
    "Ethernet",
    "Lan",
    "Model",
    "ModelError",
    "PacedClock",
    "Program",
    "Stream",
    "Trace",
    "VirtualClock",
    "model_from_file",
    "model_named",
    "model_names",
]
