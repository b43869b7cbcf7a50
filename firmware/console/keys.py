"""The keys of a terminal, by what they send: miniterm, picocom, tio and PuTTY agree on these."""

from __future__ import annotations

SEQUENCES = {
    "[A": "up", "OA": "up", "[B": "down", "OB": "down",
    "[C": "right", "OC": "right", "[D": "left", "OD": "left",
    "[H": "home", "OH": "home", "[1~": "home", "[7~": "home",
    "[F": "end", "OF": "end", "[4~": "end", "[8~": "end",
    "[3~": "delete",
}  # fmt: skip
"""What follows ESC, by xterm, VT100 (application mode), rxvt and the Linux console."""

CONTROLS = {
    "\x01": "home", "\x02": "left", "\x04": "end_of_input", "\x05": "end", "\x06": "right", "\x08": "backspace",
    "\x0b": "kill_end", "\x0c": "clear", "\x0e": "down", "\x10": "up", "\x15": "kill_start", "\x17": "kill_word",
    "\x7f": "backspace", "\t": "complete",
}  # fmt: skip
"""Control characters, as in readline's Emacs mode."""
