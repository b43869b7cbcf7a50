"""Long work, slice by slice, without waking the coroutine that waits for its end; and alone on the CPU, without turns.

A task that has been in ``Kernel.work`` for 2 ms gives the CPU back. From then on its turns are slices: the coroutine
only waits, and need not be woken for each. While nobody else is ready, not even the board need be: the kernel asks to
be called when the work is done, and makes up for the slices then, or when an interrupt comes before::

    others ready:   | slice |other| slice |other| slice | coroutine goes on
    alone:          | ....................interrupt: these slices are made up for, the handler's task is next
                    | ...................................... end of the work: all are

Both ways the slices are the same, to the nanosecond and in the trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firmware.kernel.scheduler import Kernel
    from firmware.kernel.task import Task

LONGEST_NS = 100_000_000
"""So far ahead the kernel commits itself at most: the watchdog is fed when it is called."""

MARGIN_NS = 100
"""Who falls due as a slice ends goes before the next slice, so the last one ends before: by more than the fractions of
nanoseconds of all."""


class Slices:
    """What is left of a task's work; its turns, until it is done and the coroutine's turn comes."""

    __slots__ = ("_kernel", "_size", "_task", "cycles", "kind")

    def __init__(self, kernel: Kernel, task: Task, cycles: int, kind: str, size: int) -> None:
        self._kernel = kernel
        self._task = task
        self._size = size
        self.cycles = cycles
        self.kind = kind

    def __call__(self, _: None) -> int:
        size = self._size
        if self.cycles > size:
            self.cycles -= size
            self._kernel.charge(size, self.kind)
            return 0
        task = self._task
        task._send = task._resume
        self._kernel.charge(self.cycles, self.kind)
        return int(task.coroutine.send(None))

    @property
    def whole(self) -> int:
        """How many more slices end before the coroutine's turn comes."""
        return (self.cycles - 1) // self._size


class Stretch:
    """Slices of a task that is alone on its CPU, to be made up for.

    Args:
        began_ns: local time of the first.
    """

    __slots__ = ("_kernel", "_slices", "began_ns", "number", "task")

    def __init__(self, kernel: Kernel, task: Task, slices: Slices, number: int, began_ns: int) -> None:
        self._kernel = kernel
        self.task = task
        self._slices = slices
        self.number = number
        self.began_ns = began_ns

    def catch_up(self, switch_ns: int) -> int:
        """Does those that began before the present local time. Gives their number; the last one may end later."""
        kernel, task, cpu = self._kernel, self.task, self._kernel.cpu
        until_ns, now_ns = cpu.now_ns, self.began_ns
        done = 0
        kernel.current = task
        try:
            while done < self.number and now_ns < until_ns:
                began_ns, cpu.now_ns = now_ns, now_ns + switch_ns
                done += 1
                self._slices(None)
                now_ns = cpu.now_ns
                held_ns = now_ns - began_ns
                task.busy_ns += held_ns
                if held_ns > task.longest_ns:
                    task.longest_ns = held_ns
                if kernel.trace is not None:
                    kernel.trace(began_ns, "task", task.name, held_ns)
        finally:
            kernel.current = None
        cpu.now_ns = now_ns
        return done
