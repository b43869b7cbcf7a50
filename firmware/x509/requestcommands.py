"""The commands of pending signing requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from firmware.commands.registry import Call, Operation, Reply
from firmware.errors import CommandError
from firmware.x509.cabinet import DEVICE, shown_target
from firmware.x509.options import FORMAT, MODULE, TARGET, never, target_of
from firmware.x509.request import Request
from firmware.x509.task import X509Task
from firmware.x509.view import copy_text, request_text, request_view
from firmware.x509.work import parsing_work


def request_operations(x509: X509Task) -> Sequence[Operation]:
    """What can be done with a signing request."""
    commands = RequestCommands(x509)
    get = Operation(MODULE, "request-get", "signing request to copy", commands.get, (TARGET, FORMAT))
    return (
        Operation(MODULE, "request-show", "pending signing request", commands.show, (TARGET,), query=True),
        replace(get, logged=never),
        Operation(MODULE, "request-remove", "discards a request with its key, for ever", commands.remove, (TARGET,)),
    )


class RequestCommands:
    """Handlers, one per command."""

    def __init__(self, x509: X509Task) -> None:
        self._x509 = x509

    async def show(self, call: Call) -> Reply:
        request = await self._pending(call)
        return Reply(request_text(request), request_view(request))

    async def get(self, call: Call) -> Reply:
        return Reply(copy_text([(await self._pending(call)).der], "CERTIFICATE REQUEST", call.text("format")))

    async def remove(self, call: Call) -> Reply:
        target = target_of(call)
        request = self._x509.cabinet.request(target)
        if request is None and not self._x509.cabinet.has_request_key(target):
            raise CommandError(f"no signing request for {shown_target(target)}")
        self._x509.cabinet.remove_request(target)
        name = request.subject.text if request else "the request"
        lines = [f"removed {name} with its private key: a certificate made from it cannot be used any more"]
        if target == DEVICE and self._x509.cabinet.request_error:
            lines.append("X509/REQUESTERROR is still set: vars del X509/REQUESTERROR clears it")
        return Reply("\n".join(lines))

    async def _pending(self, call: Call) -> Request:
        target = target_of(call)
        request = self._x509.cabinet.request(target)
        if request is None:
            raise CommandError(f"no signing request for {shown_target(target)}")
        await self._x509.charge(parsing_work(self._x509.costs, 1))
        return request
