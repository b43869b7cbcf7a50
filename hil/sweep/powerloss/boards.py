"""Whole boards whose power goes, or whose card is pulled, at a chosen write to the card; and what is there afterwards.

The same invariants as for the coroutines alone, seen as a person sees them: through the console. A board takes some
tenths of a second to boot and to make a key, so a sweep tries a few cuts, spread over all.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

from cfcard import CompactFlash, Fault, FaultyDevice, LogLayer, NoCard
from cfcard.fat import Fat
from hil.bench import Bench
from hil.cards import new_ram_card
from hil.errors import DeviceFailure, PowerLoss
from hil.gateway import Gateway
from hil.reply import Reply
from hil.sweep.powerloss.job import Failure, Tally

__all__ = ["BOARD_OPERATIONS", "Trial", "run_board_job"]

How = Literal["power", "pull"]

CREATE = "x509 rootca-create /key 1024-bit /years 10 /dn-cn Sweep%20CA"
ISSUE = "x509 rootca-issue /key 1024-bit /years 3 /dn-cn dev.example.com /backup"

BOARD_OPERATIONS: dict[str, tuple[str, How]] = {
    "create-power": (CREATE, "power"),
    "create-pull": (CREATE, "pull"),
    "issue-power": (ISSUE, "power"),
    "issue-pull": (ISSUE, "pull"),
}
"""What is done, and how it is cut."""

JOB_MS = 600_000


@dataclass
class Trial:
    """One board with one card, cut once. As a context manager it closes the bench.

    Attributes:
        reported: what the console said of the operation; empty when it said nothing.
        wrong: what the trial found.
    """

    seed: int
    how: How
    reported: str = ""
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._next: CompactFlash | None = None
        self.bench = Bench(seed=self.seed)
        self.sectors = new_ram_card("16M").backend
        self.log = LogLayer(self.sectors, keep=False)
        self.faulty = FaultyDevice(self.log, cut=self._cut)
        self.card = CompactFlash(self.faulty)
        self.gateway: Gateway = self.bench.gateway("ip800")
        self.gateway.insert_card(self.card)
        self.gateway.power_on()
        self.gateway.console.login()
        if "card inserted: " not in self.gateway.console.text:
            self.gateway.console.expect("card inserted: ")
        self.run("card info")

    def __enter__(self) -> Trial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bench.close()

    def run(self, command: str) -> Reply:
        """A command's answer, whether it is an error or not."""
        return self.gateway.console.run(command, check=False, timeout_ms=JOB_MS)

    def do(self, command: str, at: int) -> bool:
        """Runs ``command`` and cuts it at sector write ``at``. False when it wrote fewer sectors: nothing was cut."""
        console = self.gateway.console
        self.log.clear()
        self.faulty.arm(Fault.CUT, at)
        mark = console.mark()
        console.send_line(command)
        # What the board says by itself redraws the prompt; the one that counts follows the command's line.
        ended = re.compile(re.escape(command) + r"\s*?\n(?s:.*)\n" + re.escape(self.gateway.netbios) + "> ")

        def is_over() -> bool:
            return not self.gateway.powered or ended.search(console.since(mark)) is not None

        if not self.bench.run_until(is_over, timeout_ms=JOB_MS):
            self.wrong.append("the console did not come back")
        self.reported = console.since(mark)
        return bool(self.faulty.fired)

    def swap(self, command: str, at: int, other: CompactFlash) -> None:
        """Begins ``command``; at sector write ``at`` the card is pulled, and at the same instant another one is in."""
        self._next = other
        self.faulty.arm(Fault.CUT, at)
        self.gateway.console.send_line(command)

    def go_on(self) -> None:
        """Power comes back, or the card is put in again; the board recovers."""
        self.faulty.heal()
        console = self.gateway.console
        mark = console.mark()
        if not self.gateway.powered:
            self.bench.run_for(ms=100)
            console.forget()
            self.gateway.power_on()
            console.login()
        elif self.gateway.card is None:
            self.gateway.insert_card(self.card)
            console.expect("card inserted: ", since=mark)
        self.run("card info")

    def judge(self, used: set[int], has_ca: bool) -> None:
        """Looks at the card through the board, issues another certificate, and looks again.

        Args:
            used: serial numbers that were seen before; those seen now are added.
            has_ca: whether a CA was reported.
        """
        self._require_clean("after the cut")
        shown = self.run("x509 rootca-show")
        if shown.error and has_ca:
            self.wrong.append(f"the CA is lost: {shown.error}")
        if shown.error:
            made = self.run(CREATE)
            if made.error:
                self.wrong.append(f"no new CA can be made: {made.error}")
        issued = self.run(ISSUE)
        if issued.error:
            self.wrong.append(f"no certificate can be issued: {issued.error}")
            return
        serial = int(self.run("x509 servercert-show /index 0 /json").json["serial"], 16)
        if serial in used:
            self.wrong.append(f"serial number {serial:X} was issued twice")
        used.add(serial)
        self._require_clean("at the end")

    def _require_clean(self, when: str) -> None:
        said = self.run("card check").text
        if said != "clean":
            self.wrong.append(f"card check {when}: {said}")
        problems = Fat().check(self.sectors).problems
        if problems and said == "clean":
            self.wrong.append(f"the card is damaged {when}, and the board does not see it: {problems[0]}")

    def _cut(self) -> BaseException:
        if self.how == "pull":
            self.gateway.remove_card()
            if self._next is not None:
                self.gateway.insert_card(self._next)
            return NoCard()
        self.gateway.power_off()
        return PowerLoss()


def run_board_job(operation: str, seed: int, count: int, only: str = "") -> Tally:
    """Cuts one operation of whole boards at ``count`` writes, spread over all of them."""
    command, how = BOARD_OPERATIONS[operation]
    tally = Tally(Counter(), Counter(), Counter())
    if only:
        places = [int(only.split("/")[2])]
    else:
        with _begun(seed, how, command) as trial:
            trial.do(command, 1 << 30)
            writes = trial.log.write_sectors
        places = sorted({1 + number * writes // count for number in range(count)} | {writes + 1})
    for at in places:
        name, column = f"board/{operation}/{at}/0", f"whole board, {how}"
        wrong = _one(seed, how, command, at)
        tally.states[column] += 1
        tally.distinct[column] += 1
        if wrong:
            tally.losses[column] += 1
            tally.failures.append(Failure(name, tuple(wrong)))
    return tally


def _begun(seed: int, how: How, command: str) -> Trial:
    """A board ready for the operation: with a CA on its card, when it is to use one."""
    trial = Trial(seed, how)
    if command == ISSUE:
        trial.run(CREATE)
    return trial


def _one(seed: int, how: How, command: str, at: int) -> list[str]:
    with _begun(seed, how, command) as trial:
        used: set[int] = set()
        try:
            trial.do(command, at)
            reported = "error: " not in trial.reported and "serial " in trial.reported
            if command == ISSUE and reported:
                used.add(int(trial.run("x509 servercert-show /index 0 /json").json["serial"], 16))
            has_ca = command == ISSUE or "is on the card" in trial.reported
            trial.go_on()
            trial.judge(used, has_ca)
        except DeviceFailure as failure:
            trial.wrong.append(" ".join(str(failure).split())[:400])
        return trial.wrong
