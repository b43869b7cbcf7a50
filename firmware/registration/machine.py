"""Where a phone's registration is, as a table.

::

    OFF --begin--> STARTING --due--> CONNECTING --connected--> REGISTERING --accepted--> REGISTERED
                                         ^  |                      |                      |    |
                                         |  +------- failed -------+------- failed -------+    | refresh
                                        due           |                                        v
                                         |            v                                   REGISTERING
                                         +-------- WAITING

    every state --ended--> OFF      the configuration changed or went

``CONNECTING`` is TCP and TLS together. A registration that is being renewed still stands; the state says what the phone
waits for.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["MOVES", "Event", "Progress", "State"]

STEADY_NS = 10_000_000_000
"""A connection that ended sooner after the first 200 than a pong may take counts as a failure, too: without that, a
registrar that hangs up behind its answer would be called again at once, for ever."""


class State(StrEnum):
    """What the phone waits for."""

    OFF = "off"
    STARTING = "starting"
    CONNECTING = "connecting"
    REGISTERING = "registering"
    REGISTERED = "registered"
    WAITING = "waiting"


class Event(StrEnum):
    """What happened."""

    BEGIN = "begin"
    DUE = "due"
    CONNECTED = "connected"
    ACCEPTED = "accepted"
    REFRESH = "refresh"
    FAILED = "failed"
    ENDED = "ended"


MOVES: dict[tuple[State, Event], State] = {
    (State.OFF, Event.BEGIN): State.STARTING,
    (State.STARTING, Event.DUE): State.CONNECTING,
    (State.CONNECTING, Event.CONNECTED): State.REGISTERING,
    (State.CONNECTING, Event.FAILED): State.WAITING,
    (State.REGISTERING, Event.ACCEPTED): State.REGISTERED,
    (State.REGISTERING, Event.FAILED): State.WAITING,
    (State.REGISTERED, Event.REFRESH): State.REGISTERING,
    (State.REGISTERED, Event.FAILED): State.WAITING,
    (State.WAITING, Event.DUE): State.CONNECTING,
} | {(state, Event.ENDED): State.OFF for state in State}
"""Every move that there is; what is not here cannot happen."""


@dataclass
class Progress:
    """State and counters of a registration since the firmware's start: a reset begins them anew, as power does.

    Another configuration does not; it only ends the row of failures that the next wait is reckoned from.
    """

    state: State = State.OFF
    since_ns: int = 0
    """When it came into this state."""
    attempts: int = 0
    """Connections that were tried."""
    registered: int = 0
    """Connections over which a 200 came."""
    failed: int = 0
    """Attempts that came to nothing, and registrations that were lost."""
    timeouts: int = 0
    """REGISTERs that nobody answered in time (timer F)."""
    pong_timeouts: int = 0
    failures_in_a_row: int = 0
    last_error: str = ""
    """Why it last failed, in a sentence; stays when it works again."""
    stands: bool = False
    """Whether there is a registration now, one that is being renewed included."""
    stands_since_ns: int = 0

    def move(self, event: Event, now_ns: int) -> None:
        """Goes where the table says. ValueError when it says nothing: a mistake in the code."""
        state = MOVES.get((self.state, event))
        if state is None:
            raise ValueError(f"{event.value} cannot happen while {self.state.value}")
        if event is Event.DUE:
            self.attempts += 1
        elif event is Event.ACCEPTED and not self.stands:
            self.registered += 1
            self.stands, self.stands_since_ns = True, now_ns
        elif event is Event.FAILED:
            self._fail(now_ns)
        elif event is Event.ENDED:
            self.stands, self.failures_in_a_row = False, 0
        self.state, self.since_ns = state, now_ns

    def _fail(self, now_ns: int) -> None:
        """Counts failures to register in a row (RFC 5626 4.5): a registration that stood begins the count anew, and a
        connection that was lost between two REGISTERs is none."""
        self.failed += 1
        steady = self.stands and now_ns - self.stands_since_ns >= STEADY_NS
        before = 0 if steady else self.failures_in_a_row
        self.failures_in_a_row = 0 if steady and self.state is State.REGISTERED else before + 1
        self.stands = False
