"""Who may register as which object: the certificate says who a device is, its entry says what it may be.

::

    certificate, judged good?  --yes-->  entry of that common name, for this object?  --yes-->  may register
                 |                                      |
                 no                                     no
                 v                                      v
           an entry for this object that does not insist on TLS?  --yes-->  may register
                 |
                 no --> 403, or 404 where nobody may register as that object at all

A device that comes without its certificate gets what it would get without having one, so showing another's does no harm
where none is asked for. Taking the entry away ends the right, although the certificate stays good (reference text,
Revoke List).

Not modelled: passwords of objects, address filters, registration by number.
"""

from __future__ import annotations

from typing import Protocol

from firmware.errors import CommandError, RequestError
from firmware.pbx.devices import DeviceEntry

__all__ = ["admitted"]

SHOWN = 64
"""Characters of a foreign name that are repeated in an answer and in the log."""


class Devices(Protocol):
    """What is needed of the list of device entries."""

    def find(self, hardware_id: str) -> DeviceEntry: ...

    def of(self, name: str) -> list[DeviceEntry]: ...


def admitted(devices: Devices, user: str, common_name: str | None) -> DeviceEntry:
    """The entry by which a device may register as ``user``.

    Args:
        common_name: of its certificate, which was judged and found good; None where it showed none.

    Raises:
        RequestError: 403 when it may not; 404 when no device may register as that object.
    """
    own = _own_entry(devices, common_name)
    if own is not None and own.name == user:
        return own
    entries = devices.of(user)
    for entry in entries:
        if not entry.tls_only:
            return entry
    if own is not None:
        raise RequestError(403, f"{own.hardware_id} may register as {own.name} only")
    if common_name is not None:
        raise RequestError(403, f"no device entry for {_shown(common_name)}")
    if entries:
        raise RequestError(403, f"{_shown(user)} registers over TLS, with the certificate of its device")
    raise RequestError(404, f"no device entry for an object {_shown(user)}")


def _own_entry(devices: Devices, common_name: str | None) -> DeviceEntry | None:
    if common_name is None:
        return None
    try:
        return devices.find(common_name)
    except CommandError:  # none, or a name that no hardware id can be
        return None


def _shown(text: str) -> str:
    return "".join(character for character in text[:SHOWN] if " " <= character != "\x7f")
