"""The persistent variables of a signing request: another view of what the cabinet keeps for the device.

=============================  ==========================================================================
``X509/REQUEST``               the pending request, DER
``X509/REQUESTKEY``            its private key; can be written and deleted, never read
``X509/REQUESTERROR``          why the last answer could not be taken up, text; can only be deleted
``X509/REQUESTRESPONSE/0000n`` the answer: 00000 the device's certificate, then intermediates, last the CA
=============================  ==========================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable

from firmware.commands.variables import Variable
from firmware.errors import CertificateError, CommandError
from firmware.x509.cabinet import DEVICE, RESPONSE, RESPONSE_DIGITS, ROOT, Cabinet
from firmware.x509.key import private_key_from_der
from firmware.x509.request import request_from_der

__all__ = ["REQUEST_KEY", "RequestVariables"]

REQUEST, REQUEST_KEY, REQUEST_ERROR = f"{ROOT}REQUEST", f"{ROOT}REQUESTKEY", f"{ROOT}REQUESTERROR"

_RESPONSE = re.compile(re.escape(ROOT + RESPONSE) + r"(\d{5})")


class RequestVariables:
    """Owner of the variables whose names begin with ``X509/`` (`firmware.commands.variables.VariableOwner`).

    Args:
        answered: called when a part of an answer was written.
    """

    def __init__(self, cabinet: Cabinet, answered: Callable[[], None]) -> None:
        self._cabinet = cabinet
        self._answered = answered

    def variables(self) -> list[Variable]:
        """Those that exist now."""
        cabinet = self._cabinet
        request, error = cabinet.request(DEVICE), cabinet.request_error
        found = [Variable(REQUEST, "pb", request.der)] if request else []
        if cabinet.has_request_key(DEVICE):
            found.append(Variable(REQUEST_KEY, "pb", None))
        if error:
            found.append(Variable(REQUEST_ERROR, "ps", error.encode()))
        return found + [
            Variable(f"{ROOT}{RESPONSE}{number:0{RESPONSE_DIGITS}}", "pb", data)
            for number, data in cabinet.responses().items()
        ]

    def create(self, name: str, value: bytes) -> None:
        """Sets one. CommandError for a name or value that cannot be, and for an answer to nothing."""
        if name == REQUEST:
            self._cabinet.set_request_part("REQUEST", _checked(name, lambda: request_from_der(value).der))
        elif name == REQUEST_KEY:
            self._cabinet.set_request_part("REQUESTKEY", _checked(name, lambda: private_key_from_der(value).der()))
        elif name == REQUEST_ERROR:
            raise CommandError(f"{name} is set by the device; vars del clears it")
        else:
            self._answer(_response_number(name), value)

    def delete(self, name: str) -> None:
        """Removes one that exists. The request goes alone: its key is a variable of its own."""
        if name == REQUEST_ERROR:
            self._cabinet.clear_request_error()
        elif name in (REQUEST, REQUEST_KEY):
            self._cabinet.set_request_part(name.removeprefix(ROOT), None)
        else:
            self._cabinet.drop_response(_response_number(name))

    def _answer(self, number: int, value: bytes) -> None:
        error = self._cabinet.request_error
        if error:
            raise CommandError(f"stopped by an earlier import that failed ({error}): delete {REQUEST_ERROR} first")
        if self._cabinet.request(DEVICE) is None:
            raise CommandError("no signing request is pending that this could answer")
        self._cabinet.keep_response(number, value)
        self._answered()


def _response_number(name: str) -> int:
    match = _RESPONSE.fullmatch(name)
    if match is None:
        known = f"REQUEST, REQUESTKEY, REQUESTERROR and {RESPONSE}{'0' * RESPONSE_DIGITS}"
        raise CommandError(f"variable {name}: of {ROOT.rstrip('/')} there are {known}")
    return int(match[1])


def _checked(name: str, parse: Callable[[], bytes]) -> bytes:
    try:
        return parse()
    except CertificateError as error:
        raise CommandError(f"value of {name}: {error}") from None
