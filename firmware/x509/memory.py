"""What the process remembers of bytes that it has read: in a storm, 200 peers show the same CA, names and dates.

Only functions whose answer is immutable and depends on their arguments alone may be remembered; then nobody can tell
an answer that was recalled from one that was worked out. In particular no board can: the cycles for reading and
verifying are charged by those who ask, out of the cost table, every time. What this saves is the host's time only.

Answers are kept within bounds, the least recently used is forgotten first; what is longer than usual, and errors, are
never kept. So a peer that invents certificates gains nothing but that others' are read again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

__all__ = ["Notes", "forget", "remembered"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_K = TypeVar("_K")
_V = TypeVar("_V")

_forgetting: list[Callable[[], None]] = []


def remembered(
    entries: int, longest_bytes: int
) -> Callable[[Callable[Concatenate[bytes, _P], _T]], Callable[Concatenate[bytes, _P], _T]]:
    """Makes a function remember its last answers.

    Args:
        entries: How many.
        longest_bytes: Of its first argument; for longer ones it is called every time.
    """

    def decorated(function: Callable[Concatenate[bytes, _P], _T]) -> Callable[Concatenate[bytes, _P], _T]:
        known: Any = lru_cache(maxsize=entries)(function)
        _forgetting.append(known.cache_clear)

        @wraps(function)
        def recall(encoding: bytes, /, *others: _P.args, **named: _P.kwargs) -> _T:
            if len(encoding) > longest_bytes:
                return function(encoding, *others, **named)
            answer: _T = known(encoding, *others, **named)
            return answer

        return recall

    return decorated


class Notes(Generic[_K, _V]):
    """Answers that whoever found them writes down, where only some are worth it: the same rules as for `remembered`.

    Args:
        entries: How many; the oldest goes first.
    """

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._answers: dict[_K, _V] = {}
        self.get = self._answers.get
        """``get(question)``: the answer, or None."""
        _forgetting.append(self._answers.clear)

    def __len__(self) -> int:
        return len(self._answers)

    def put(self, question: _K, answer: _V) -> None:
        """Writes an answer down."""
        if len(self._answers) >= self._entries and question not in self._answers:
            del self._answers[next(iter(self._answers))]
        self._answers[question] = answer


def forget() -> None:
    """Forgets everything, as in a new process: for who measures what the first time takes."""
    for clear in _forgetting:
        clear()
