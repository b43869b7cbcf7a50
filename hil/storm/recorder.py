"""Listens to a storm: what each phone went through, and (``registrar.py``) what the registrar did.

Everything is heard from the bench's trace; nobody in it knows that somebody listens, and a run that is measured is the
same, to its digest, as one that is not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from board.trace import TraceEvent
from firmware.sip.events import KIND
from hil.storm.gauge import Gauge
from hil.storm.registrar import RegistrarMeter

if TYPE_CHECKING:
    from hil.bench import Bench
    from hil.gateway import Gateway

RESET, WATCHDOG = "reset", "watchdog"

TIMEOUTS = {
    "connect": re.compile("timeout-connect"),
    "handshake": re.compile("tls: (timeout|no answer)"),
    "transaction": re.compile("timeout-f"),
    "pong": re.compile("pong-timeout"),
}
"""The reasons of failures that are timeouts."""

NUMBERS = re.compile(r"\S+:\d+")
"""An address in a reason: reasons are counted, and every phone has a port of its own."""


@dataclass
class Phone:
    """What one phone went through."""

    host: str
    """How the registrar knows it."""
    attempts: int = 0
    attempt_ns: int | None = None
    """When the latest attempt began."""
    first_attempt_ns: int | None = None
    connected_ns: list[int] = field(default_factory=list)
    """How long each successful attempt took until TLS was open."""
    first_registered_ns: int | None = None
    registered: bool = False


class Recorder:
    """Measures from ``zero_ns`` on, when power comes back, until ``close``. Times are counted from there.

    Of what comes before, only attempts count that are still going on then: a phone that calls a registrar without power
    goes on calling until it is heard.
    """

    def __init__(self, bench: Bench, registrar: Gateway, phones: Sequence[Gateway], zero_ns: int) -> None:
        self.zero_ns = zero_ns
        self.phones = {phone.name: Phone(phone.netbios) for phone in phones}
        self.meter = RegistrarMeter(registrar, zero_ns)
        self.meter.queues["connections"] = Gauge()
        self.failures: Counter[str] = Counter()
        self.changes: list[tuple[int, int]] = []
        """When the number of registered phones went up or down by one."""
        self.registered = 0
        self.all_registered = not phones
        """Whether every phone has been registered. Plain, as it is looked at after each event of the world."""
        self._missing = len(phones)  # phones that have never been registered
        self.overflows = 0
        self._bitten = 0  # phones
        self._bench = bench
        self._registrar = registrar
        self._registrar_name = registrar.name
        self._connections = self.meter.queues["connections"]
        self._handlers = {
            "attempt": self._attempt,
            "connected": self._connected,
            "registered": self._registered,
            "failed": self._failed,
            "unregistered": self._unregistered,
        }
        bench.trace.listen_to_rows(self.meter.event, board=registrar.name)
        bench.trace.listen(self._event, kinds=(KIND, RESET))
        bench.on_start.append(self._started)

    @property
    def first_attempt_ns(self) -> int | None:
        """When the first phone tried; None while none has."""
        times = [phone.first_attempt_ns for phone in self.phones.values() if phone.first_attempt_ns is not None]
        return min(times, default=None)

    @property
    def all_registered_ns(self) -> int | None:
        """When the last phone got its first 200; None while some have none."""
        if not self.all_registered:
            return None
        return max(self.registration_ns, default=0)

    @property
    def registration_ns(self) -> list[int]:
        """When phones got their first 200, those that did."""
        times = (phone.first_registered_ns for phone in self.phones.values())
        return [time_ns for time_ns in times if time_ns is not None]

    @property
    def watchdog_resets(self) -> int:
        """Of everybody."""
        return self._bitten + self.meter.resets[WATCHDOG]

    @property
    def timeouts(self) -> dict[str, int]:
        """How many, by kind."""
        return {
            kind: sum(count for reason, count in self.failures.items() if pattern.fullmatch(reason))
            for kind, pattern in TIMEOUTS.items()
        }

    def close(self) -> None:
        """Listens no more."""
        self._bench.trace.unlisten(self.meter.event)
        self._bench.trace.unlisten(self._event)
        self._bench.on_start.remove(self._started)
        self.meter.close()

    # -- what is heard

    def _started(self, gateway: Gateway) -> None:
        if gateway is self._registrar:
            self.meter.attach()

    def _event(self, event: TraceEvent) -> None:
        time_ns, board, kind, name, value = event
        if board == self._registrar_name:
            if kind == KIND:
                self._registrar_says(time_ns, name, value)
            else:
                self.meter.reset(name)
        elif kind == KIND:
            handler = self._handlers.get(name)
            if handler is None:
                return
            phone = self.phones[board]
            if time_ns >= self.zero_ns:
                handler(phone, time_ns - self.zero_ns, value)
            elif name == "attempt":
                phone.attempts, phone.attempt_ns, phone.first_attempt_ns = 1, 0, 0
            else:
                phone.attempts, phone.attempt_ns, phone.first_attempt_ns = 0, None, None
        elif name == WATCHDOG:
            self._bitten += 1

    def _registrar_says(self, time_ns: int, name: str, value: int | str) -> None:
        if name == "queue":
            self.meter.serving()
            self._connections.set(time_ns - self.zero_ns, int(value))
        elif name == "overflow":
            self.overflows += 1

    def _attempt(self, phone: Phone, now_ns: int, _value: int | str) -> None:
        phone.attempts += 1
        phone.attempt_ns = now_ns
        if phone.first_attempt_ns is None:
            phone.first_attempt_ns = now_ns

    def _connected(self, phone: Phone, now_ns: int, _value: int | str) -> None:
        self.meter.served(phone.host)
        if phone.attempt_ns is not None:
            phone.connected_ns.append(now_ns - phone.attempt_ns)

    def _registered(self, phone: Phone, now_ns: int, _value: int | str) -> None:
        self._stands(phone, now_ns, True)
        if phone.first_registered_ns is None:
            phone.first_registered_ns = now_ns
            self._missing -= 1
            self.all_registered = not self._missing

    def _failed(self, phone: Phone, now_ns: int, reason: int | str) -> None:
        self.failures[NUMBERS.sub("the registrar", str(reason))] += 1
        self._stands(phone, now_ns, False)

    def _unregistered(self, phone: Phone, now_ns: int, _value: int | str) -> None:
        self._stands(phone, now_ns, False)

    def _stands(self, phone: Phone, now_ns: int, registered: bool) -> None:
        if phone.registered is not registered:
            phone.registered = registered
            change = 1 if registered else -1
            self.registered += change
            self.changes.append((now_ns, change))
