"""The bench: where firmware, board and card meet, and the only package that knows the host.

``from hil import Bench`` gives the bench; nothing of it is loaded before it is asked for, so that ``gatebench --help``
and a pytest that loads the plugin without using it stay quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hil.bench import Bench
    from hil.errors import CommandFailed, DeviceFailure, EnvironmentRefused, PowerLoss, RackMisuse

__all__ = ["Bench", "CommandFailed", "DeviceFailure", "EnvironmentRefused", "PowerLoss", "RackMisuse"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Loads a public name when it is first used (PEP 562)."""
    if name == "Bench":
        from hil.bench import Bench

        return Bench
    if name in __all__:
        import hil.errors

        return getattr(hil.errors, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
