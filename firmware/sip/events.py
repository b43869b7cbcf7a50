"""What registrar and phones leave in the board's trace, all of kind ``sip``. Names, counts and reasons, no secrets.

On a phone:

=================  =====================================================================================
``attempt``        value: number of the attempt since the firmware's start, from 1
``connected``      value ``""``: TCP, and TLS where wanted, are there; the REGISTER goes out next
``registered``     value: number of that attempt; once per connection, refreshing is not told
``failed``         value: why an attempt, or a registration that stood, came to its end:
                   ``refused`` · ``timeout-connect`` (nobody accepted the connection) · ``tls: <alert or verdict>`` ·
                   ``timeout-f`` (no answer to REGISTER, RFC 3261 17.1.2.2) · ``status-403`` and other statuses ·
                   ``pong-timeout`` · ``lost`` (the connection ended) · ``protocol`` (an answer that is none)
``pong-timeout``   value ``""``: the keep-alive was not answered; ``failed`` follows
``unregistered``   value ``""``: a registration ended with its configuration, or with the phone's power
=================  =====================================================================================

On a registrar:

=================  =====================================================================================
``binding``        value: number of bindings now, after one came or its connection ended
``expired``        value: number of bindings now, after some were not renewed in time
``refused``        value: status and reason: ``403 no device entry for IP232-06-11-ad``
``queue``          value: number of connections accepted at the SIPS port whose handshake is not finished, whenever
                   that changes: those that wait for their turn, and those whose handshake is going on
``overflow``       value: number of connections that there are: one more came, and was closed at once, since they are
                   as many as fit the memory, or since too many wait for their turn
=================  =====================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from firmware.hal import Trace

__all__ = ["KIND", "Tell", "teller"]

KIND = "sip"

Tell = Callable[[str, int | str], None]
"""``tell(name, value)``."""


class Kernel(Protocol):
    """What is needed of the kernel."""

    trace: Trace | None

    @property
    def now_ns(self) -> int: ...


def teller(kernel: Kernel) -> Tell:
    """What registrar and phone are given to tell with; does nothing while nobody looks."""

    def tell(name: str, value: int | str) -> None:
        if kernel.trace is not None:
            kernel.trace(kernel.now_ns, KIND, name, value)

    return tell
