"""What is done to the LAN: cuts, and the conditions on the segment and on each host's cable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from board.ethernet import Ethernet
from board.lan import Conditions, Lan

if TYPE_CHECKING:
    from hil.gateway import Gateway
    from hil.record.recorder import Recorder


class LanWatch:
    """Notes it for a recorder.

    Args:
        numbers: which gateway each Ethernet port is of.
    """

    def __init__(self, recorder: Recorder, lan: Lan, numbers: Mapping[Ethernet, int]) -> None:
        self._recorder = recorder
        self._numbers = numbers
        self._lan = lan
        recorder.wrap(lan, "cut", self._cut)
        recorder.wrap(lan, "restore", lambda host, other=None: ("lan", "restore", self._hosts(host, other), {}))
        told = _conditions(lan)
        for verb in ("_changed", "_judge"):
            self._watch(lan, verb, [], told)

    def watch_link(self, gateway: Gateway, number: int) -> None:
        """Notes what is done to a gateway's cable, too."""
        link = self._lan.link(gateway)
        self._watch(link, "_changed", [number], _conditions(link))

    def _watch(self, place: Conditions, verb: str, hosts: list[int], told: dict[str, Any]) -> None:
        """Conditions are attributes: they are looked at whenever one was set."""
        original = getattr(place, verb)

        def changed() -> None:
            original()
            now = _conditions(place)
            values = {name: value for name, value in now.items() if value != told[name]}
            if values and self._recorder.active:
                self._recorder.note("lan", "set", hosts, values)
            told.update(now)

        setattr(place, verb, changed)

    def _cut(self, host: Any, other: Any = None, *, ms: float | None = None) -> tuple[Any, ...]:
        return "lan", "cut", self._hosts(host, other), {"ms": ms}

    def _hosts(self, *hosts: Any) -> list[int]:
        numbers = [self._numbers.get(host.network) for host in hosts if host is not None]
        if None in numbers:
            self._recorder.doubt("a host of the LAN that is no gateway of the bench was cut off")
        return [number for number in numbers if number is not None]


def _conditions(place: Conditions) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(place, name) for name in ("latency_ms", "jitter_ms", "loss")}
    if isinstance(place, Lan):
        found["bandwidth_mbit"] = place.bandwidth_mbit
    return found
