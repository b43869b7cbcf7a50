"""The CPU's budget: who used how many cycles, how loaded the CPU was, and how much a background task may take."""

from __future__ import annotations

from array import array

SAMPLE_NS = 100_000_000
"""Busy time is sampled this often; a load over one second is made of ten samples."""

FINE_MARKS = 11
COARSE_MARKS = 61
"""Eleven marks bound the ten tenths of a second, sixty-one the sixty seconds of a minute."""


class Share:
    """At most ``percent`` of the CPU over any ``window_ms``, for all tasks that were given this share together.

    What a task takes beyond the limit in one go is owed in the windows that follow.
    """

    __slots__ = ("_ends_ns", "_owed_ns", "percent", "window_ns")

    def __init__(self, percent: int = 50, window_ms: int = 100) -> None:
        if not 1 <= percent <= 100:
            raise ValueError(f"share is {percent} percent, must be 1 to 100")
        self.percent = percent
        self.window_ns = window_ms * 1_000_000
        self._ends_ns = 0
        self._owed_ns = 0

    def use(self, began_ns: int, ended_ns: int) -> int:
        """Accounts for work done from ``began_ns`` to ``ended_ns``. Gives the time before which there is no more."""
        window_ns = self.window_ns
        quota_ns = window_ns * self.percent // 100
        if began_ns >= self._ends_ns:
            # The share was free: a window begins with this work.
            self._ends_ns = began_ns + window_ns
            self._owed_ns = 0
        self._owed_ns += ended_ns - began_ns
        if self._owed_ns < quota_ns:
            return ended_ns
        free_ns = self._ends_ns
        self._owed_ns -= quota_ns
        while self._owed_ns >= quota_ns:
            free_ns += window_ns
            self._owed_ns -= quota_ns
        self._ends_ns = free_ns + window_ns
        return max(free_ns, ended_ns)


class LoadMeter:
    """Load averages from cumulative busy time, in whole samples.

    Costs nothing while the CPU rests: what was missed is filled in afterwards. Two rings hold the busy time there had
    been at each mark: tenths of a second for the last second, seconds for the last minute.
    """

    __slots__ = ("_busy_ns", "_coarse", "_fine", "_marks", "_now_ns", "next_ns")

    def __init__(self, now_ns: int) -> None:
        self._fine = array("q", [0] * FINE_MARKS)
        self._coarse = array("q", [0] * COARSE_MARKS)
        self._marks = 0
        self._busy_ns = 0
        self._now_ns = now_ns
        self.next_ns = now_ns + SAMPLE_NS
        """Time of the next mark: ``add`` wants to be called when it was passed."""

    def rest(self, now_ns: int) -> None:
        """Nothing ran since the last call, up to ``now_ns``."""
        if now_ns > self._now_ns:
            self.add(now_ns, now_ns - self._now_ns)

    def add(self, now_ns: int, idle_ns: int) -> int:
        """Of the time since the last call, up to ``now_ns``, the CPU idled ``idle_ns``. Gives the next mark's time.

        Between two calls the idle time is taken to have come first, which is exact as long as whoever idles past a
        mark calls at once.
        """
        busy_ns = self._busy_ns + now_ns - self._now_ns - idle_ns
        if now_ns >= self.next_ns:
            self._mark(now_ns, busy_ns)
        self._busy_ns = busy_ns
        self._now_ns = now_ns
        return self.next_ns

    def over(self, span_ms: int) -> float:
        """Busy fraction 0..1 of ``span_ms`` (1000, 10000 or 60000) before the last mark."""
        latest_ns = self._fine[self._marks % FINE_MARKS]
        if span_ms <= 1_000:
            before_ns = self._fine[(self._marks + 1) % FINE_MARKS]
            return (latest_ns - before_ns) / (SAMPLE_NS * (FINE_MARKS - 1))
        seconds = span_ms // 1_000
        tenths = self._marks % 10
        before_ns = self._coarse[(self._marks // 10 - seconds) % COARSE_MARKS]
        return (latest_ns - before_ns) / (SAMPLE_NS * (seconds * 10 + tenths))

    def _mark(self, now_ns: int, busy_ns: int) -> None:
        """Sets a mark at every sample time that was passed, with the busy time there had been by then."""
        oldest_ns = now_ns - COARSE_MARKS * 10 * SAMPLE_NS
        if self.next_ns < oldest_ns:
            # A longer gap than the rings hold: skip whole turns of both, so that the places in them stay right.
            turn = FINE_MARKS * COARSE_MARKS * 10
            skipped = (oldest_ns - self.next_ns) // SAMPLE_NS // turn * turn
            self._marks += skipped
            self.next_ns += skipped * SAMPLE_NS
        earlier_ns = self._busy_ns
        while self.next_ns <= now_ns:
            self._marks += 1
            marked_ns = max(earlier_ns, busy_ns - (now_ns - self.next_ns))
            self._fine[self._marks % FINE_MARKS] = marked_ns
            if self._marks % 10 == 0:
                self._coarse[self._marks // 10 % COARSE_MARKS] = marked_ns
            self.next_ns += SAMPLE_NS
