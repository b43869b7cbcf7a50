"""Line editing for a serial terminal: bytes in, bytes out and events. Pure.

::

    bytes --push--> pending --next--> [ decode UTF-8 ] --> [ keys, escape sequences ] --> line, cursor
                                                                   |                         |
                              event: Line, Interrupted, EndOfInput +        echo, redraw <---+

``next`` stops at each event, so that what was typed ahead is read under the prompt that it meets. Keys are those that
miniterm, picocom, tio and PuTTY send: VT100 and xterm sequences; unknown ones are swallowed.

What is typed at the end of the line is echoed byte for byte, so a program at the other end can rely on the echo. An
edit within the line redraws from the cursor on; a line longer than the terminal is wide goes over several rows.

Not modelled: terminals narrower than ``columns``; the rows of characters that are wider than one column.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from firmware.commands import Completion
from firmware.console.keys import CONTROLS, SEQUENCES

__all__ = ["COLUMNS", "HISTORY_LIMIT", "LINE_LIMIT", "EndOfInput", "Event", "Interrupted", "Line", "LineEditor"]

LINE_LIMIT = 4096
"""Characters of a line: a certificate request's options need a tenth; more is a paste in the wrong place."""

HISTORY_LIMIT = 50
COLUMNS = 80

ESCAPE_LIMIT = 16
"""Bytes of an escape sequence: the longest key of xterm has 8; after that it is noise."""
BELL = b"\a"
ERASE_BELOW = b"\x1b[J"


@dataclass(frozen=True, slots=True)
class Line:
    """A line was ended."""

    text: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Ctrl-C: the line was abandoned."""


@dataclass(frozen=True, slots=True)
class EndOfInput:
    """Ctrl-D on an empty line."""


Event = Line | Interrupted | EndOfInput


class LineEditor:
    """Edits one line after the other.

    Args:
        complete: what Tab offers for the line up to the cursor.
        is_private: whether a line is kept out of the history, because a password is in it.
    """

    def __init__(
        self,
        complete: Callable[[str], Completion] | None = None,
        is_private: Callable[[str], bool] | None = None,
        columns: int = COLUMNS,
    ) -> None:
        self.columns = columns
        self.prompt = ""
        self.echo = True
        self.recall = True
        self._complete = complete
        self._is_private = is_private
        self._pending = bytearray()
        self._partial = b""  # the beginning of a UTF-8 character
        self._escape: str | None = None
        self._after_cr = False
        self._after_tab = False
        self._text: list[str] = []
        self._cursor = 0
        self._skipping = False
        self._history: list[str] = []
        self._browsing: int | None = None
        self._draft = ""
        self._out = bytearray()

    @property
    def text(self) -> str:
        """The line as it stands."""
        return "".join(self._text)

    @property
    def pending(self) -> int:
        """Bytes that were pushed and not yet looked at."""
        return len(self._pending)

    def begin(self, prompt: str, echo: bool = True, recall: bool = True) -> bytes:
        """Starts a line; gives what shows the prompt. ``echo`` off hides it; ``recall``: with history, completion."""
        self.prompt, self.echo, self.recall = prompt, echo, echo and recall
        self._set("", 0)
        self._browsing, self._after_tab = None, False
        return prompt.encode()

    def push(self, data: bytes) -> None:
        """Adds what has arrived."""
        self._pending += data

    def take_pending(self) -> bytes:
        """What was typed ahead, for somebody else to read."""
        data = bytes(self._pending)
        self._pending.clear()
        return data

    def forget(self) -> None:
        """Drops what was typed ahead, the line, and whatever had begun."""
        self._pending.clear()
        self._partial, self._escape, self._skipping = b"", None, False
        self._set("", 0)

    def skip_line(self) -> None:
        """Bytes were lost: what is typed up to the next line end is dropped, and so is the line so far."""
        self.forget()
        self._skipping = True

    def next(self) -> tuple[bytes, Event | None]:
        """Looks at what is pending, up to the next event. Gives what the terminal is to show, and the event or None."""
        event = None
        while event is None and self._pending:
            event = self._byte(self._pending.pop(0))
        return self._taken(), event

    def hide(self) -> bytes:
        """Takes prompt and line off the terminal, so that something else can be printed; ``show`` brings them back."""
        row = 0
        if self.echo:
            self._settle(self._cursor)
            row = self._cell(self._cursor) // self.columns
        self._out += self._up(row) + b"\r" + ERASE_BELOW
        return self._taken()

    def show(self) -> bytes:
        """Prints prompt and line, and puts the cursor to its place."""
        self._out += self.prompt.encode()
        if self.echo:
            self._out += self.text.encode()
            self._move(len(self._text), self._cursor)
        return self._taken()

    def _taken(self) -> bytes:
        out = bytes(self._out)
        self._out.clear()
        return out

    # Bytes to keys.

    def _byte(self, byte: int) -> Event | None:
        if self._after_cr and byte == 0x0A:
            # CR LF ends one line, not two.
            self._after_cr = False
            return None
        self._after_cr = byte == 0x0D
        if byte == 0x03:
            return self._interrupt()
        if byte in (0x0A, 0x0D):
            return self._end_line()
        if self._skipping or byte == 0x00:
            return None
        if byte < 0x80:
            self._partial = b""
            return self._character(chr(byte))
        self._utf8(byte)
        return None

    def _utf8(self, byte: int) -> None:
        if byte >= 0xC0:
            self._partial = b""
        self._partial += bytes((byte,))
        try:
            character = self._partial.decode()
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data":
                return
            self._partial = b""  # no UTF-8: a terminal set to Latin-1, or noise on the line
            self._out += BELL
            return
        self._partial = b""
        if self._escape is not None:
            self._escape = None
        elif character.isprintable():
            self._insert(character)

    def _character(self, character: str) -> Event | None:
        if self._escape is not None:
            self._escape_character(character)
            return None
        if character == "\x1b":
            self._escape = ""
            return None
        key = CONTROLS.get(character)
        if key != "complete":
            self._after_tab = False
        if key is not None:
            return self._press(key)
        if character >= " ":
            self._insert(character)
        return None

    def _escape_character(self, character: str) -> None:
        assert self._escape is not None
        sequence = self._escape = self._escape + character
        if character == "\x1b":
            self._escape = ""
        elif sequence in ("[", "O", "[["):
            return  # introducers: of control sequences, of function keys, and of the Linux console's
        elif sequence[0] == "[" and not "@" <= character <= "~" and len(sequence) < ESCAPE_LIMIT:
            return
        else:
            self._escape = None
            key = SEQUENCES.get(sequence)
            if key is not None:
                self._press(key)

    def _press(self, key: str) -> Event | None:
        if key == "end_of_input":
            if not self._text:
                self._out += b"\r\n"
                return EndOfInput()
            key = "delete"
        getattr(self, f"_key_{key}")()
        return None

    # Ends of a line.

    def _end_line(self) -> Event | None:
        if self._skipping:
            self._skipping = False
            return None
        text = self.text
        self._escape, self._partial = None, b""
        if self.echo:
            self._move(self._cursor, len(self._text))
        if self.recall:
            self._remember(text)
        self._out += b"\r\n"
        self._set("", 0)
        return Line(text)

    def _interrupt(self) -> Event:
        self._skipping, self._escape, self._partial = False, None, b""
        self._move(self._cursor, len(self._text))
        self._out += b"^C\r\n"
        self._set("", 0)
        return Interrupted()

    def _remember(self, text: str) -> None:
        if self._is_private is not None and self._is_private(text):
            return
        if text.strip() and self._history[-1:] != [text]:
            self._history.append(text)
            del self._history[:-HISTORY_LIMIT]

    def forget_history(self) -> None:
        """A session has ended: whoever comes next does not find its lines."""
        self._history.clear()
        self._browsing, self._draft = None, ""

    # Changing the line.

    def _set(self, text: str, cursor: int) -> None:
        self._text = list(text)
        self._cursor = cursor

    def _insert(self, text: str) -> None:
        if len(self._text) + len(text) > LINE_LIMIT:
            self._out += BELL
            return
        at_end = self._cursor == len(self._text)
        self._text[self._cursor : self._cursor] = text
        self._cursor += len(text)
        if not self.echo:
            return
        if at_end:
            self._out += text.encode()
        else:
            self._settle(self._cursor - len(text))
            self._out += "".join(self._text[self._cursor - len(text) :]).encode()
            self._move(len(self._text), self._cursor)

    def _cut(self, start: int, end: int) -> None:
        """Removes ``start`` to ``end`` and leaves the cursor there."""
        if start == end:
            return
        self._move(self._cursor, start)
        del self._text[start:end]
        self._cursor = start
        if self.echo:
            self._out += "".join(self._text[start:]).encode()
            self._settle(len(self._text))
            self._out += ERASE_BELOW
            self._move(len(self._text), start)

    def _replace(self, text: str) -> None:
        self._move(self._cursor, 0)
        self._set(text, len(text))
        if self.echo:
            self._out += text.encode()
            self._settle(len(text))
            self._out += ERASE_BELOW

    def _go(self, cursor: int) -> None:
        self._move(self._cursor, cursor)
        self._cursor = cursor

    # The terminal's cursor.

    def _cell(self, index: int) -> int:
        return len(self.prompt) + index

    def _settle(self, index: int) -> None:
        """A terminal that has just filled a row keeps its cursor on it: makes it go to the next one."""
        if self._cell(index) % self.columns == 0 and index == len(self._text) and self._cell(index):
            self._out += b" \r"

    def _move(self, start: int, end: int) -> None:
        """Moves the terminal's cursor between two places of the line."""
        if not self.echo or start == end:
            return
        self._settle(start)
        rows = self._cell(end) // self.columns - self._cell(start) // self.columns
        columns = self._cell(end) % self.columns - self._cell(start) % self.columns
        self._out += self._up(-rows) if rows <= 0 else b"\x1b[%dB" % rows
        if columns < 0:
            self._out += b"\b" * -columns if columns > -4 else b"\x1b[%dD" % -columns
        elif columns > 0:
            self._out += b"\x1b[%dC" % columns

    @staticmethod
    def _up(rows: int) -> bytes:
        return b"\x1b[%dA" % rows if rows else b""

    # Keys.

    def _key_left(self) -> None:
        self._go(max(0, self._cursor - 1))

    def _key_right(self) -> None:
        self._go(min(len(self._text), self._cursor + 1))

    def _key_home(self) -> None:
        self._go(0)

    def _key_end(self) -> None:
        self._go(len(self._text))

    def _key_backspace(self) -> None:
        self._cut(max(0, self._cursor - 1), self._cursor)

    def _key_delete(self) -> None:
        self._cut(self._cursor, min(len(self._text), self._cursor + 1))

    def _key_kill_end(self) -> None:
        self._cut(self._cursor, len(self._text))

    def _key_kill_start(self) -> None:
        self._cut(0, self._cursor)

    def _key_kill_word(self) -> None:
        before = "".join(self._text[: self._cursor]).rstrip()
        self._cut(before.rfind(" ") + 1, self._cursor)

    def _key_clear(self) -> None:
        self._out += b"\x1b[H\x1b[2J"
        self._out = bytearray(self.show())

    def _key_up(self) -> None:
        self._browse(-1)

    def _key_down(self) -> None:
        self._browse(1)

    def _browse(self, step: int) -> None:
        if not self.recall:
            return
        position = len(self._history) if self._browsing is None else self._browsing
        if self._browsing is None:
            self._draft = self.text
        position += step
        if not 0 <= position <= len(self._history):
            self._out += BELL
            return
        at_end = position == len(self._history)
        self._browsing = None if at_end else position
        self._replace(self._draft if at_end else self._history[position])

    def _key_complete(self) -> None:
        if self._complete is None or not self.recall:
            self._out += BELL
            return
        completion = self._complete("".join(self._text[: self._cursor]))
        candidates = completion.candidates
        if len(candidates) == 1:
            self._complete_word(completion.word, candidates[0] + " ")
        elif len(completion.common) > len(completion.word):
            self._complete_word(completion.word, completion.common)
        elif candidates and self._after_tab:
            self._list(candidates)
        else:
            self._out += BELL
        self._after_tab = True

    def _complete_word(self, word: str, completed: str) -> None:
        """Replaces the unfinished word: its case may differ from what completes it."""
        if completed.startswith(word):
            self._insert(completed[len(word) :])
        else:
            self._cut(self._cursor - len(word), self._cursor)
            self._insert(completed)

    def _list(self, candidates: tuple[str, ...]) -> None:
        """Prints the candidates in columns below the line, then the line again."""
        width = max(map(len, candidates)) + 2
        per_row = max(1, (self.columns - 1) // width)
        self._move(self._cursor, len(self._text))
        for start in range(0, len(candidates), per_row):
            row = "".join(f"{candidate:<{width}}" for candidate in candidates[start : start + per_row])
            self._out += b"\r\n" + row.rstrip().encode()
        self._out += b"\r\n"
        self._out = bytearray(self.show())
