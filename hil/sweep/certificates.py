"""A box's life with its certificates, from the first power-on to the second, and what it costs.

::

    power-on, no certificate          HTTPS and SIPS refuse; the box makes its own
    servercert-create                 a key and a certificate of the length and hash asked for
    rootca-create, -issue, -trust     a CA on the card, a certificate from it; left out where there is no slot
    a TLS connection from outside     which must show that certificate, and verify against that CA
    power cycle                       the CA signs again, no number comes twice, the certificate is served

Without a fault plan every step must succeed. With one, a step may end with an error, a card that is gone, or without
power: then power comes back, the card is put in again, and the step is tried once more. At the power cycle the plan
ends, and what was promised up to then must hold.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from board.trace import TraceEvent
from cfcard import CompactFlash
from hil.bench import Bench
from hil.cards import new_ram_card
from hil.errors import DeviceFailure
from hil.gateway import Gateway
from hil.sweep.case import NO_FAULTS, Case, Value
from hil.tlsclient import TlsClient, client_context

__all__ = ["certificates"]

HTTPS, SIPS = 443, 5061

DEFAULT_KEY_BITS = 1024
"""Of the certificate that a box makes by itself (reference text, Certificate Key Length and CPU Usage)."""

CARD_SIZE = "16M"

STEP_MS = 36_000_000
"""Ten hours: the slowest model finds a 4096-bit key in one, be it unlucky."""

TRIES = 2
"""Of a step that a fault may break."""

MOST_SETBACKS = 10

CARD_SETTLES_MS = 300
"""Contacts bounce for 3 ms, the firmware waits 50 ms more, and then mounts."""


def certificates(case: Case, bench: Bench) -> dict[str, Value]:
    """Runs it. DeviceFailure, with the console's last words, at the first thing that is not as it must be."""
    return _Life(case, bench).run()


@dataclass(frozen=True)
class _Answer:
    """What a command said, and how long it took. Without a prompt at its end the board lost power, or was reset."""

    text: str
    ms: float
    ended: bool

    @property
    def error(self) -> str | None:
        found = re.search(r"^error: (.*?)\r?$", self.text, re.MULTILINE)
        return found[1] if found else None


class _Life:
    def __init__(self, case: Case, bench: Bench) -> None:
        self.case = case
        self.bench = bench
        self.values: dict[str, Value] = {}
        self.faulty = case.faults != NO_FAULTS
        self.serials: set[str] = set()
        self.setbacks = 0
        self.sectors = 0
        self.keygen_cycles = 0
        bench.trace.listen(self._count)
        self.gateway: Gateway = bench.gateway(case.model, factory="upgraded")
        self.card: CompactFlash | None = None

    def run(self) -> dict[str, Value]:
        self._first_start()
        self._own_certificate()
        if self.gateway.model.has_slot:
            self._certificate_from_card()
        self._connection("")
        self.values["load_60s"] = float(self._asked("cpu mips-usage /json")["load_60s"])
        self._second_start()
        self.values["sectors_written"] = self.sectors
        self.values["setbacks"] = self.setbacks
        return self.values

    # -- the steps

    def _first_start(self) -> None:
        """A box without a certificate refuses HTTPS and SIPS until it has made one."""
        self.gateway.power_on()
        self.gateway.console.login()
        self.values["boot_ms"] = self.bench.now_ns / 1e6
        for port in (HTTPS, SIPS):
            if self._accepts(port):
                self._fail(f"port {port} to refuse while there is no certificate", "it accepted")
        self._measured("default", "x509 servercert-wait", DEFAULT_KEY_BITS)
        # Waiting began after the login; the box began when power came.
        self.values["default_ms"] = self.bench.now_ns / 1e6
        for port in (HTTPS, SIPS):
            if not self._accepts(port):
                self._fail(f"port {port} to accept, now that there is a certificate", "it refused")

    def _own_certificate(self) -> None:
        began_ns = self.bench.now_ns
        choices = f"/key {self.case.key_bits}-bit /signature {self.case.hash}"
        self._require(f"x509 servercert-create {choices} /dn-cn sweep")
        self._measured("create", "x509 servercert-wait", self.case.key_bits)
        self.values["create_ms"] = (self.bench.now_ns - began_ns) / 1e6

    def _certificate_from_card(self) -> None:
        """A root CA on the card, a certificate from it, and trust in it: as far as a fault plan lets us."""
        self.card = new_ram_card(CARD_SIZE)
        self.gateway.insert_card(self.card)
        self._await_card()
        choices = f"/key {self.case.key_bits}-bit /signature {self.case.hash}"
        create = f"x509 rootca-create {choices} /years 10 /dn-cn Sweep%20CA"
        made = self._measured("ca", create, self.case.key_bits, until=self._has_ca)
        self.values["ca_made"] = made
        issued = made and self._measured(
            "issue", f"x509 rootca-issue {choices} /years 3 /dn-cn sweep.example.com", self.case.key_bits
        )
        self.values["issued"] = issued
        if issued:
            self._note_serial()
        if made:
            self.values["trusted"] = self._measured("trust", "x509 rootca-trust")

    def _connection(self, prefix: str) -> None:
        """From outside: the box shows the certificate that it says it has, and the chain verifies."""
        pem = self._require("x509 servercert-get").text
        blocks = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", pem, re.DOTALL)
        context = client_context(trust_anchor=blocks[-1].replace("\r", "") + "\n")
        began_ns = self.bench.now_ns
        try:
            with TlsClient(self.gateway.connect(HTTPS), context=context) as client:
                client.handshake(timeout_ms=STEP_MS)
                took_ns = self.bench.now_ns - began_ns
                shown = hashlib.sha256(client.peer_chain[0]).hexdigest()
                status = client.request("GET", "/").status
        except OSError as error:  # TLS alerts among them
            self._fail("a TLS connection that verifies", f"{type(error).__name__}: {error}")
        expected = self._certificate()["sha256"]
        if shown != expected:
            self._fail(f"the certificate {expected[:16]}... to be served", f"{shown[:16]}...")
        if status != 200:
            self._fail("the start page over HTTPS", f"status {status}")
        self.values[f"{prefix}handshake_ms"] = took_ns / 1e6
        self.values[f"{prefix}handshake_cpu_ms"] = self._asked("cpu mips-usage /json")["tls"]["last_us"] / 1e3

    def _second_start(self) -> None:
        """What was promised holds: certificate and CA are there, and numbers go on."""
        before = self._certificate()["sha256"]
        if self.faulty:
            self.gateway.faults.disarm()
        off_ns = self.bench.now_ns
        self.gateway.power_cycle()
        self.gateway.console.login()
        self.values["reboot_ms"] = (self.bench.now_ns - off_ns) / 1e6
        after = self._certificate()["sha256"]
        if after != before:
            self._fail(f"the certificate {before[:16]}... after the power cycle", f"{after[:16]}...")
        if self.values.get("ca_made"):
            self._await_card()
            self._require("x509 rootca-show")
            again = self._require(f"x509 rootca-issue /key reuse /signature {self.case.hash} /dn-cn again")
            self.values["issue_again_ms"] = again.ms
            self._note_serial()
        self._connection("second_")

    # -- how

    def _measured(
        self, name: str, command: str, key_bits: int | None = None, *, until: Callable[[], bool] | None = None
    ) -> bool:
        """One step: its time, and how many primality tests it took to find its key. False where faults broke it.

        Args:
            until: after a setback, whether the step was done all the same.
        """
        cycles = self.keygen_cycles
        for left in reversed(range(TRIES)):
            answer = self._do(command)
            error = answer.error if answer.ended else "power was lost"
            if error is None:
                break
            if not self.faulty:
                self._fail(f"{command.split()[1]} to succeed", f"error: {error}")
            self._recover()
            if until is not None and until():
                return True  # done when it was broken off: how long it takes is not known
            if not left:
                return False
        self.values[f"{name}_ms"] = answer.ms
        if key_bits is not None:
            step = self.gateway.board.costs.keygen(key_bits)
            self.values[f"{name}_prime_tests"] = (self.keygen_cycles - cycles) // step
        return True

    def _do(self, command: str) -> _Answer:
        """Types a command and waits for the prompt behind its answer, or for the board's end."""
        console, gateway = self.gateway.console, self.gateway
        mark, began_ns, resets = console.mark(), self.bench.now_ns, gateway.board.resets
        console.send_line(command)
        # What the board says by itself redraws the prompt; the one that counts follows the command's line.
        done = re.compile(re.escape(command) + r"\s*?\n(?s:.*)\n" + re.escape(gateway.netbios) + "> $")
        seen = mark

        def is_over() -> bool:
            nonlocal seen
            if not gateway.powered or gateway.board.resets != resets:
                return True
            if console.mark() == seen:
                return False
            seen = console.mark()
            return done.search(console.since(mark)) is not None

        if not self.bench.run_until(is_over, timeout_ms=STEP_MS):
            self._fail(f"{command!r} to end within {STEP_MS / 1000:g} s", "no prompt")
        alive = gateway.powered and gateway.board.resets == resets
        return _Answer(console.since(mark), (self.bench.now_ns - began_ns) / 1e6, alive)

    def _require(self, command: str) -> _Answer:
        """A command that must work, faults or not: it touches no card, or the plan has ended."""
        answer = self._do(command)
        while self.faulty and not answer.ended and self.setbacks < MOST_SETBACKS:
            self._recover()  # the card may have been read at the same time
            answer = self._do(command)
        if answer.error is not None or not answer.ended:
            self._fail(f"{command!r} to succeed", answer.error or "the board lost power or was reset")
        return answer

    def _recover(self) -> None:
        """What a person does: gives power again, puts the card in again."""
        self.setbacks += 1
        gateway = self.gateway
        if self.setbacks == MOST_SETBACKS:
            gateway.faults.disarm()  # a plan may have no end of its own
        if not gateway.powered:
            self.bench.run_for(ms=100)
            gateway.console.forget()
            gateway.power_on()
        gateway.console.login()
        if gateway.card is None and self.card is not None:
            gateway.insert_card(self.card)
            self._await_card()

    def _await_card(self) -> None:
        """Contacts settle, and the volume is looked over and mounted, or found to be none."""
        self.bench.run_for(ms=CARD_SETTLES_MS)
        if not self._do("card info").ended:
            self._recover()

    def _has_ca(self) -> bool:
        shown = self._do("x509 rootca-show")
        if not shown.ended:
            self._recover()
        return shown.ended and shown.error is None

    def _note_serial(self) -> None:
        """No number twice under one CA."""
        certificate = self._certificate()
        number = f"{certificate['issuer']} {certificate['serial']}"
        if number in self.serials:
            self._fail("a serial number of its own", f"{number} once more")
        self.serials.add(number)

    def _certificate(self) -> dict[str, str]:
        """The leaf that the box says it shows."""
        leaf: dict[str, str] = self._asked("x509 servercert-show /json")["chain"][0]
        return leaf

    def _asked(self, query: str) -> dict[str, Any]:
        """What a query with ``/json`` prints."""
        lines = self._require(query).text.splitlines()
        found: dict[str, Any] = json.loads(next(line for line in lines if line.startswith("{")))
        return found

    def _accepts(self, port: int) -> bool:
        client = self.gateway.connect(port)
        accepted = client.wait_open()
        client.close()
        return accepted

    def _count(self, event: TraceEvent) -> None:
        if event.kind == "charge:keygen":
            self.keygen_cycles += int(event.value)
        elif event.kind == "card" and event.name == "write":
            self.sectors += int(str(event.value).partition("+")[2])

    def _fail(self, expected: str, got: str) -> NoReturn:
        bench = self.bench
        raise DeviceFailure(
            expected,
            got,
            time_ns=bench.now_ns,
            last_bytes=bytes(self.gateway.console.data[-400:]),
            events=bench.last_events(8),
            seed=bench.seed,
            repeat=bench.repeat,
        )
