"""What goes wrong in the firmware, and whose fault it is.

```
Exception
 +-- FirmwareError                 anything the firmware itself reports
      +-- CommandError             the user: `x509 trust-show` without a fingerprint, an unknown command or option
      +-- ConfigError              the user, in one field: years 99, country "Germany", a DNS name with a blank
      +-- CertificateError         the bytes: a damaged PEM block, a key that does not match, a chain with a gap
      +-- RequestError             the peer: an HTTP body that is too long (413), a page that is not there (404)
```

What hardware reports arrives as ``OSError`` with an errno. A power cut or a reset is a ``BaseException`` from outside
and passes every ``except Exception``. A certificate that is refused on a connection is a verdict, not an exception.
"""

from __future__ import annotations

import os

__all__ = ["CertificateError", "CommandError", "ConfigError", "FirmwareError", "RequestError", "text_from_error"]


class FirmwareError(Exception):
    """Root of everything that the firmware reports; ``str()`` is one lower-case line without a full stop."""


class CommandError(FirmwareError):
    """A command that cannot be carried out. The text is what the console prints behind ``error: ``."""


class ConfigError(FirmwareError):
    """A value that a field does not allow.

    Attributes:
        field: Name of the option or form field, for example ``dn-c``: the page marks it.
    """

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


class CertificateError(FirmwareError):
    """Bytes that are no usable certificate, request, key or chain.

    Attributes:
        verdict: The validator's reason where a validation failed, else None.
    """

    def __init__(self, text: str, verdict: object = None) -> None:
        super().__init__(text)
        self.verdict = verdict


class RequestError(FirmwareError):
    """A request over the network that is refused.

    Attributes:
        status: HTTP status code of the answer.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def text_from_error(error: Exception) -> str:
    """What went wrong, in one line: of an ``OSError`` its detail, or the name of its errno."""
    text = str(error)
    if isinstance(error, OSError) and error.args:
        code = error.args[0]
        detail = error.args[1] if len(error.args) > 1 else None
        text = str(detail) if detail else os.strerror(code) if isinstance(code, int) else str(code)
    return " ".join(text.split())
