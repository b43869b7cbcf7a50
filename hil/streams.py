"""Where random bytes come from: one stream per named part, from the seed or from the operating system.

Each part's stream depends on the seed and the part's name alone, so one more draw in one part does not shift what the
others get. The stream of a part goes on over resets of its board, as a noise source in silicon does: a board that is
reset never makes the same key twice.
"""

from __future__ import annotations

import hashlib
import os
import random


class SeededStream:
    """The same bytes for the same (seed, name), on every host and every Python."""

    secret = False

    def __init__(self, seed: int, name: str) -> None:
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        self._random = random.Random(int.from_bytes(digest, "big"))

    def randbytes(self, n: int, /) -> bytes:
        return self._random.randbytes(n)


class HostStream:
    """The operating system's entropy: bytes that nobody can draw again."""

    secret = True

    def randbytes(self, n: int, /) -> bytes:
        return os.urandom(n)


class Streams:
    """All streams of one run.

    Args:
        seed: None takes the operating system's entropy.
    """

    def __init__(self, seed: int | None) -> None:
        self.seed = seed
        self._streams: dict[str, SeededStream | HostStream] = {}

    def __call__(self, name: str) -> SeededStream | HostStream:
        """The stream of the part of that name; the same one at every call."""
        if name not in self._streams:
            self._streams[name] = HostStream() if self.seed is None else SeededStream(self.seed, name)
        return self._streams[name]
