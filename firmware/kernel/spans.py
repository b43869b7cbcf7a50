"""Spans: beginning and end of work that takes several turns, for whoever draws a timeline.

``kernel.spans`` gets ``(now_ns, "begin" or "end", of, label)``. Spans of one ``of`` nest; those of others overlap as
they please. Nobody looks unless told to, and then a span costs one attribute test.
"""

from __future__ import annotations

from firmware.kernel.scheduler import Kernel

__all__ = ["Span", "span"]


class Span:
    """A block whose beginning and end are told; a class, as every charge of a handshake has one."""

    __slots__ = ("_kernel", "_label", "_of", "_tell")

    def __init__(self, kernel: Kernel, of: str, label: str) -> None:
        self._kernel = kernel
        self._of = of
        self._label = label
        self._tell = kernel.spans

    def __enter__(self) -> None:
        if self._tell is not None:
            self._tell(self._kernel.now_ns, "begin", self._of, self._label)

    def __exit__(self, *_error: object) -> None:
        if self._tell is not None:
            self._tell(self._kernel.now_ns, "end", self._of, self._label)


def span(kernel: Kernel, of: str, label: str) -> Span:
    """Marks what happens inside the block as ``label``; ``of`` is whose it is, for example a peer's address."""
    return Span(kernel, of, label)
