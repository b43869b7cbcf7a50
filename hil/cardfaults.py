"""Faults of the card in a gateway's slot: armed from Python, from a fault plan, or from the control face.

::

    gateway.faults.arm("pull", at=40)                       the 40th sector that is written never gets there
    gateway.faults.arm("error", event="read", sector=96)    keys and values as in a plan (hil/faultplan.py)
    ...
    for hit in gateway.faults.fired:
        print(hit.time_ns, hit.rule.name, hit.sector)

The rules belong to the slot: they hold for whichever card is in, and go on counting with the next one. They break what
passes between board and card; a test that looks at the card from outside sees what is on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from cfcard import ArmedRules, CompactFlash, Fault, Hit, Layer, NoCard, ReaderDevice, Rule, RuleError
from hil.errors import PowerLoss, RackMisuse, reason_from_oserror
from hil.faultplan import rule_from_values

if TYPE_CHECKING:
    from hil.gateway import Gateway

DESTROYING = frozenset(
    (Fault.BURN_ONES, Fault.BURN_ZEROS, Fault.GARBAGE, Fault.MISDIRECT, Fault.REORDER, Fault.FORGET, Fault.FULL)
)
"""What is not done to a card of plastic and metal: it would write what nobody told the card to write."""


class CardFaults:
    """The faults of one gateway's slot. RackMisuse for a model that has none."""

    def __init__(self, gateway: Gateway) -> None:
        slot = gateway.board.slot
        if slot is None:
            raise RackMisuse(f"{gateway.model.product} has no card slot")
        self._gateway = gateway
        self._board = gateway.board
        self._trace = gateway.bench.trace.for_board(gateway.name)
        stream = gateway.bench.streams(f"{gateway.name}/faults")
        self._rules = ArmedRules(stream.randbytes, lambda: self._board.cpu.now_ns)
        self._rules.on_hit = self._happened
        self._listeners: tuple[Callable[[Hit], None], ...] = ()
        slot.watch(self._changed)
        gateway.bench.on_start.append(self._started)
        if gateway.card is not None:
            self._attach(gateway.card)

    @property
    def fired(self) -> list[Hit]:
        """What happened, oldest first: (time_ns, rule, sector). A rule that goes on and on is listed 64 times."""
        return list(self._rules.hits)

    @property
    def armed(self) -> list[Rule]:
        """Rules that can still fire."""
        return [armed.rule for armed in self._rules.rules if not armed.spent]

    def arm(self, fault: str | Fault | Rule = Fault.ERROR, **values: Any) -> Rule:
        """Adds one rule, and gives it.

        Args:
            fault: its name, or a whole rule.
            values: the other keys of a rule, as in a plan: ``event``, ``sector``, ``at``, ``once``, ``errno`` ...

        Raises:
            RackMisuse: there is no such fault, key or value; or it cannot be armed on the card that is in.
        """
        try:
            rule = fault if isinstance(fault, Rule) else rule_from_values({**values, "fault": fault})
        except RuleError as error:
            raise RackMisuse(f"fault {fault if isinstance(fault, str) else ''}: {error}") from error
        self._add((rule,), keep=True)
        return rule

    def replace(self, rules: Iterable[Rule]) -> None:
        """Arms these rules and no others. RackMisuse when one of them cannot be; then nothing has changed."""
        self._add(tuple(rules), keep=False)

    def disarm(self) -> None:
        """Ends all of them: the card works as before, but for what is broken on it. What fired stays on record."""
        self._rules.disarm()
        card = self._gateway.card
        if card is not None and card.faults is not None:
            card.faults.heal()

    def listen(self, listener: Callable[[Hit], None]) -> None:
        """Has ``listener(hit)`` called with every fault from now on, just before it takes effect."""
        self._listeners = (*self._listeners, listener)

    def require_fit(self, card: CompactFlash, rules: Iterable[Rule] | None = None) -> None:
        """Returns when these rules (those that are armed, unless told) can be armed on this card. RackMisuse."""
        real = _is_real(card)
        for rule in self.armed if rules is None else rules:
            if real and rule.fault in DESTROYING:
                raise RackMisuse(f"{rule.name}: not on a real card, it would write what nobody told it to write")
            last = rule.sector if isinstance(rule.sector, int) or rule.sector is None else rule.sector[1]
            if last is not None and last >= card.sectors:
                raise RackMisuse(f"{rule.name}: the card has sectors 0 to {card.sectors - 1}")

    def view(self) -> dict[str, object]:
        """All of it as plain values: what the control face gives as JSON."""
        return {
            "state": self._rules.state,
            "rules": [
                {**armed.rule.values(), "seen": armed.seen, "fired": armed.fired, "spent": armed.spent}
                for armed in self._rules.rules
            ],
            "fired": [
                {"time_ns": hit.time_ns, "name": hit.rule.name, "fault": hit.rule.fault.value, "sector": hit.sector}
                for hit in self._rules.hits
            ],
        }

    # -- how

    def _add(self, rules: tuple[Rule, ...], *, keep: bool) -> None:
        card = self._gateway.card
        if card is not None:
            self.require_fit(card, rules)
            self._fill(card, rules)
        if not keep:
            self.disarm()
        for rule in rules:
            self._rules.arm(rule)
        if card is not None:
            self._attach(card)

    def _fill(self, card: CompactFlash, rules: tuple[Rule, ...]) -> None:
        """Tries first what can fail: a volume that cannot be filled must not leave half of the rules armed."""
        for rule in rules:
            if rule.fault is not Fault.FULL:
                continue
            if self._board.powered:
                raise RackMisuse(f"{rule.name}: a running board may be using the volume, take the card out first")
            from cfcard.fat.fill import require_fillable

            try:
                require_fillable(card.backend, rule.free_clusters)
            except OSError as error:
                raise RackMisuse(f"{rule.name}: {reason_from_oserror(error)}") from error

    def _attach(self, card: CompactFlash) -> None:
        layer = card.break_by(self._rules, cut=self._cut, pull=self._pull)
        try:
            layer.prepare()
        except OSError as error:
            self._trace(self._board.cpu.now_ns, "fault", "not done", str(error))

    def _changed(self, card: object, present: bool) -> None:
        """A card was put in, or has gone: rules stay with the slot, what is broken with the card."""
        assert isinstance(card, CompactFlash)
        if present:
            self._attach(card)
        elif card.faults is not None:
            card.faults.obey(ArmedRules(), cut=NoCard, pull=NoCard)

    def _started(self, gateway: Gateway) -> None:
        if gateway is self._gateway and gateway.card is not None and gateway.card.faults is not None:
            gateway.card.faults.revive()

    def _cut(self) -> BaseException:
        # The CPU may be ahead of the world, and power goes in the world's time.
        self._board.cpu.sync()
        with self._gateway.bench.consequence():
            self._gateway.power_off()
        return PowerLoss()

    def _pull(self) -> BaseException:
        self._board.cpu.sync()
        if self._gateway.card is not None:
            with self._gateway.bench.consequence():
                self._gateway.remove_card()
        return NoCard()

    def _happened(self, hit: Hit) -> None:
        self._trace(hit.time_ns, "fault", hit.rule.name, "" if hit.sector is None else hit.sector)
        for listen in self._listeners:
            listen(hit)


def _is_real(card: CompactFlash) -> bool:
    device = card.backend
    while isinstance(device, Layer):
        device = device.inner
    return isinstance(device, ReaderDevice)
