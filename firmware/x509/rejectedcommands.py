"""The commands of the rejected list."""

from __future__ import annotations

from collections.abc import Sequence

from firmware.commands.kinds import Number
from firmware.commands.registry import Call, Operation, Option, Registry, Reply
from firmware.errors import CommandError
from firmware.x509.certificate import Certificate
from firmware.x509.name import printable
from firmware.x509.options import MODULE, SHA1
from firmware.x509.rejected import CHAINS, Rejected, RejectedList, Unreadable
from firmware.x509.rootcacommands import added_text
from firmware.x509.task import X509Task
from firmware.x509.timestamp import iso8601_from_seconds
from firmware.x509.view import FINGERPRINTS, certificate_text, certificate_view
from firmware.x509.work import viewing_work

INDEX = Option("index", Number(0, CHAINS - 1), "place in the list, 0 is the newest")
ONE = Option("sha1", SHA1, "fingerprint of a certificate of the chain")
SEVERAL = Option("sha1", SHA1, "fingerprint of a certificate to be trusted", repeat=20)


def register_rejected(registry: Registry, x509: X509Task, rejected: RejectedList) -> None:
    """Adds the rejected list's operations to the registry."""
    commands = RejectedCommands(x509, rejected)
    for operation in (
        Operation(MODULE, "rejected-list", "chains that were refused, newest first", commands.list_all, query=True),
        Operation(MODULE, "rejected-show", "details of a refused chain", commands.show, (INDEX, ONE), query=True),
        Operation(MODULE, "rejected-trust", "trusts certificates of a refused chain", commands.trust, (INDEX, SEVERAL)),
        Operation(MODULE, "rejected-clear", "forgets one refused chain, or all", commands.clear, (INDEX, ONE)),
    ):
        registry.register(operation)


class RejectedCommands:
    """Handlers, one per command."""

    def __init__(self, x509: X509Task, rejected: RejectedList) -> None:
        self._x509 = x509
        self._rejected = rejected

    async def list_all(self, call: Call) -> Reply:
        entries = self._rejected.entries()
        views = [await self._view(index, entry) for index, entry in enumerate(entries)]
        lines = [line for index, entry in enumerate(entries) for line in _lines(index, entry)]
        return Reply("\n".join(lines) or "no chain was rejected", views)

    async def show(self, call: Call) -> Reply:
        index, entry = self._one(call)
        view = await self._view(index, entry)
        now_s = self._x509.now_s()
        parts = ["\n".join(_head(index, entry))]
        parts += [_certificate_text(number, each, now_s) for number, each in enumerate(entry.chain)]
        return Reply("\n\n".join(parts), view)

    async def trust(self, call: Call) -> Reply:
        sha1s = [sha1.hex() for sha1 in call.values("sha1")]
        entries = [self._rejected.entry(call.number("index") or 0)] if call.number("index") is not None else []
        if not sha1s and not entries:
            raise CommandError("which one: /index, or /sha1 of the certificates to be trusted")
        entries = entries or self._rejected.with_certificate(sha1s)
        for entry in entries:
            await self._x509.charge(entry.reading_work(self._x509.costs))
        chosen = _chosen(entries, sha1s)
        for certificate in chosen:
            self._require_valid(certificate)
        await self._x509.read_trust_list()
        new = self._x509.trust.add(chosen)
        self._rejected.drop(self._rejected.with_certificate(each.fingerprint("sha1") for each in chosen))
        return Reply(added_text(new))

    async def clear(self, call: Call) -> Reply:
        if call.number("index") is None and call.get("sha1") is None:
            count = self._rejected.clear()
        else:
            count = self._rejected.drop([self._one(call)[1]])
        return Reply(f"{count} rejected chain{'' if count == 1 else 's'} removed")

    def _one(self, call: Call) -> tuple[int, Rejected]:
        """The chain that ``/index`` or ``/sha1`` names; without either, the newest."""
        sha1 = call.get("sha1")
        if sha1 is None:
            index = call.number("index") or 0
            return index, self._rejected.entry(index)
        found = self._rejected.with_certificate([sha1.hex()])
        if call.number("index") is not None:
            found = [entry for entry in found if entry is self._rejected.entry(call.number("index") or 0)]
        if not found:
            raise CommandError(f"no rejected chain holds a certificate with sha1 {sha1.hex()}")
        return self._rejected.entries().index(found[0]), found[0]

    async def _view(self, index: int, entry: Rejected) -> dict[str, object]:
        """The JSON object of an entry; its certificates have the keys that they have everywhere."""
        costs = self._x509.costs
        await self._x509.charge(entry.reading_work(costs))
        await self._x509.charge(viewing_work(costs, (each for each in entry.chain if isinstance(each, Certificate))))
        now_s = self._x509.now_s()
        candidate = entry.candidate
        return {
            "index": index,
            "time": iso8601_from_seconds(entry.time_s),
            "peer": entry.peer,
            "role": entry.role,
            "reason": entry.reason,
            "detail": entry.detail,
            "count": entry.count,
            "hint": entry.hint,
            "candidate": candidate.fingerprint("sha1") if candidate else None,
            "omitted": entry.omitted,
            "chain": [_certificate_data(each, now_s) for each in entry.chain],
        }

    def _require_valid(self, certificate: Certificate) -> None:
        """Reference text, Rejected certificates: "can only be trusted if they are valid (i.e. not expired)"."""
        now_s = self._x509.now_s()
        if certificate.is_valid_at(now_s):
            return
        name = printable(certificate.subject.text)
        if now_s > certificate.not_after:
            raise CommandError(f"{name} has expired on {iso8601_from_seconds(certificate.not_after)}: not trusted")
        mend = "" if self._x509.time_known() else ", and the time is not set (ctime sets it)"
        raise CommandError(f"{name} is valid from {iso8601_from_seconds(certificate.not_before)} on{mend}: not trusted")


def _chosen(entries: Sequence[Rejected], sha1s: Sequence[str]) -> list[Certificate]:
    """The certificates to be trusted: those named, or else the one that the chain's hint names."""
    if not sha1s:
        candidate = entries[0].candidate
        if candidate is None:
            raise CommandError("the peer's certificate cannot be read, so it cannot be trusted")
        return [candidate]
    found = {each.fingerprint("sha1"): each for entry in entries for each in entry.chain}
    chosen: list[Certificate] = []
    for sha1 in sha1s:
        certificate = found.get(sha1)
        if certificate is None:
            raise CommandError(f"no rejected chain holds a certificate with sha1 {sha1}")
        if isinstance(certificate, Unreadable):
            raise CommandError(f"certificate {sha1} cannot be trusted: {certificate.reason}")
        chosen.append(certificate)
    return list(dict.fromkeys(chosen))


def _head(index: int, entry: Rejected) -> list[str]:
    """When, who, why, and what would help."""
    when = iso8601_from_seconds(entry.time_s)
    times = f" ({entry.count} times)" if entry.count > 1 else ""
    lines = [f"{index}  {when}  {entry.role} {entry.peer}  {entry.reason}{times}", f"   {printable(entry.detail)}"]
    if entry.hint:
        lines.append(f"   {entry.hint}")
    if entry.omitted:
        lines.append(f"   {entry.omitted} more certificates were sent, but not kept")
    return lines


def _lines(index: int, entry: Rejected) -> list[str]:
    """An entry in a few lines."""
    return _head(index, entry) + [f"   {each.fingerprint('sha1')}  {_name(each)}" for each in entry.chain]


def _name(each: Certificate | Unreadable) -> str:
    if isinstance(each, Unreadable):
        return f"unreadable: {printable(each.reason)}"
    return printable(each.subject.text) or "(empty)"


def _certificate_text(number: int, each: Certificate | Unreadable, now_s: int) -> str:
    if isinstance(each, Certificate):
        return f"certificate {number}\n{certificate_text(each, now_s)}"
    prints = "\n".join(f"{name.upper()} fingerprint: {each.fingerprint(name)}" for name in FINGERPRINTS)
    return f"certificate {number}\nunreadable, {len(each.der)} bytes: {printable(each.reason)}\n{prints}"


def _certificate_data(each: Certificate | Unreadable, now_s: int) -> dict[str, object]:
    if isinstance(each, Certificate):
        return certificate_view(each, now_s)
    prints = {name: each.fingerprint(name) for name in FINGERPRINTS}
    return {"unreadable": each.reason, "size_bytes": len(each.der), **prints}
