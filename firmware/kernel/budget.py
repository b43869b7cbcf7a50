"""The CPU's budget: how loaded the CPU was, and how much of it a background task may take."""

from __future__ import annotations

from array import array
from collections import deque

SAMPLE_NS = 100_000_000
"""Busy time is sampled this often; a load over one second is made of ten samples."""

MARKS = 601
"""So many marks bound the six hundred samples of a minute, the longest load average."""

GRAINS = 64
"""A pause in a share's work that is shorter than the window by this factor counts as work: it bounds what is kept."""


class _Charges(dict[str, str]):
    """What charges of a kind are called in a trace: made once, not for each of them."""

    def __missing__(self, kind: str) -> str:
        self[kind] = name = f"charge:{kind}"
        return name


CHARGES = _Charges()
"""Their names by kind."""


class Share:
    """At most ``percent`` of the CPU over any ``window_ms``, for all tasks that were given this share together.

    The window slides: a task may use up everything in one go and then waits, until as much work has left the window as
    it wants to add. Work is not cut in the middle, so one slice may go beyond the limit; it is made up for afterwards.
    """

    __slots__ = ("_spells", "free_ns", "percent", "window_ns")

    def __init__(self, percent: int = 50, window_ms: int = 100) -> None:
        if not 1 <= percent <= 100:
            raise ValueError(f"share is {percent} percent, must be 1 to 100")
        if window_ms < 1:
            raise ValueError(f"window of a share is {window_ms} ms, must be at least 1")
        self.percent = percent
        self.free_ns = 0
        """Local time before which there is no more of it."""
        self.window_ns = window_ms * 1_000_000
        self._spells: deque[tuple[int, int]] = deque()  # when work began and ended, oldest first

    def set(self, percent: int, window_ms: int) -> None:
        """Changes the limit; work done so far counts against the new one."""
        self.percent = percent
        self.window_ns = window_ms * 1_000_000

    def use(self, began_ns: int, ended_ns: int) -> int:
        """Accounts for work done from ``began_ns`` to ``ended_ns``. Gives the time before which there is no more."""
        spells = self._spells
        window_ns = self.window_ns
        if spells and began_ns - spells[-1][1] <= window_ns // GRAINS:
            began_ns = spells.pop()[0]
        spells.append((began_ns, ended_ns))
        while spells[0][1] <= ended_ns - window_ns:
            spells.popleft()
        room_ns = window_ns * self.percent // 100
        self.free_ns = ended_ns
        for spell_began_ns, spell_ended_ns in reversed(spells):
            if spell_ended_ns - spell_began_ns >= room_ns:
                # From here on back is a quota's worth of work: there is room when this moment has left the window.
                self.free_ns = max(ended_ns, spell_ended_ns - room_ns + window_ns)
                break
            room_ns -= spell_ended_ns - spell_began_ns
        return self.free_ns


class LoadMeter:
    """Load averages from cumulative busy time, in whole samples.

    Costs nothing while the CPU rests: what was missed is filled in afterwards. A ring holds how much busy time there
    had been at each of the last marks, one every ``SAMPLE_NS``.
    """

    __slots__ = ("_marks", "_ring", "busy_ns", "next_ns", "now_ns")

    def __init__(self, now_ns: int) -> None:
        self._ring = array("q", [0] * MARKS)
        self._marks = 0
        self.now_ns = now_ns
        """Up to here it was told."""
        self.busy_ns = 0
        """Busy time so far."""
        self.next_ns = now_ns + SAMPLE_NS
        """Time of the next mark."""

    def rest(self, now_ns: int) -> None:
        """Nothing ran since the last call, up to ``now_ns``."""
        if now_ns > self.now_ns:
            self.add(now_ns, now_ns - self.now_ns)

    def add(self, now_ns: int, idle_ns: int) -> int:
        """Of the time since the last call, up to ``now_ns``, the CPU idled ``idle_ns``. Gives the next mark's time.

        The idle time is taken to have come before the busy time. The marks are exact when nobody idles past a mark
        without a call at both ends of that idle time.
        """
        self.busy_ns += now_ns - self.now_ns - idle_ns
        idle_until_ns = self.now_ns + idle_ns
        self.now_ns = now_ns
        if now_ns >= self.next_ns:
            self._mark(now_ns, now_ns - idle_until_ns)
        return self.next_ns

    def over(self, span_ms: int) -> float:
        """Busy fraction 0..1 of the last ``span_ms`` (1000, 10000 or 60000) before the last mark."""
        samples = min(max(span_ms * 1_000_000 // SAMPLE_NS, 1), MARKS - 1)
        busy_ns = self._ring[self._marks % MARKS] - self._ring[(self._marks - samples) % MARKS]
        return busy_ns / (samples * SAMPLE_NS)

    def _mark(self, now_ns: int, busy_at_end_ns: int) -> None:
        """Sets every mark up to ``now_ns``: the CPU was busy for ``busy_at_end_ns`` in the end, and idle before."""
        missed = (now_ns - self.next_ns) // SAMPLE_NS + 1
        skipped = max(0, missed - MARKS)  # the ring goes round: these would be overwritten
        self._marks += skipped
        self.next_ns += skipped * SAMPLE_NS
        quiet = max(0, now_ns - busy_at_end_ns - self.next_ns) // SAMPLE_NS
        if quiet:  # a rest of a minute is one store, or two where the ring closes
            quiet = min(quiet, missed - skipped)
            self._store(quiet, self.busy_ns - busy_at_end_ns)
        for _ in range(missed - skipped - quiet):
            self._store(1, self.busy_ns - min(busy_at_end_ns, now_ns - self.next_ns))

    def _store(self, count: int, busy_ns: int) -> None:
        """Sets the next ``count`` marks, all alike; no more than the ring has."""
        begin = (self._marks + 1) % MARKS
        before_the_end = min(count, MARKS - begin)
        self._ring[begin : begin + before_the_end] = array("q", [busy_ns]) * before_the_end
        self._ring[: count - before_the_end] = array("q", [busy_ns]) * (count - before_the_end)
        self._marks += count
        self.next_ns += count * SAMPLE_NS
