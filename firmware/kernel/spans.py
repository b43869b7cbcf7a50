"""Spans: beginning and end of work that takes several turns, for whoever draws a timeline.

``kernel.spans`` gets ``(now_ns, "begin" or "end", of, label)``. Spans of one ``of`` nest; those of others overlap as
they please. Nobody looks unless told to, and then a span costs one attribute test.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from firmware.kernel.scheduler import Kernel


@contextmanager
def span(kernel: Kernel, of: str, label: str) -> Iterator[None]:
    """Marks what happens inside the block as ``label``; ``of`` is whose it is, for example a peer's address."""
    tell = kernel.spans
    if tell is not None:
        tell(kernel.now_ns, "begin", of, label)
    try:
        yield
    finally:
        if tell is not None:
            tell(kernel.now_ns, "end", of, label)
