"""What can go wrong with a SIP message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware.errors import RequestError

if TYPE_CHECKING:
    from firmware.sip.message import SipRequest

__all__ = ["SipError"]


class SipError(RequestError):
    """A message that is refused.

    Attributes:
        request: What could be read of it, or None: without Via, From, To, Call-ID and CSeq nobody can be answered.
        headers: What the answer must say besides, for example ``Min-Expires``.
    """

    def __init__(
        self,
        status: int,
        text: str,
        request: SipRequest | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(status, text)
        self.request = request
        self.headers = headers
