"""The console on standard input and output; on a terminal with the bench menu behind Ctrl-].

On a terminal every key goes to the board as it is, Ctrl-C too: the terminal is in raw mode, and put back as it was
whatever ends the run. On pipes and files it is plain: all of the input goes to the board, and its end ends nothing.
"""

from __future__ import annotations

import os
import termios
import tty
from collections.abc import Callable, Mapping
from typing import Any

from hil.bridges.console import ConsoleHub
from hil.bridges.outlet import Outlet
from hil.errors import reason_from_oserror
from hil.poller import READ, Poller

MENU_KEY = 0x1D
"""Ctrl-], as in telnet, miniterm and picocom's kin."""

READ_BYTES = 4096

Action = Callable[[], str]
"""Does something and says, in a few words, what it did."""


class Menu:
    """What the bench offers by single keys.

    Args:
        actions: by key: what it is called, and what it does.
    """

    def __init__(self, actions: Mapping[str, tuple[str, Action]]) -> None:
        self._actions = actions
        self.open = False

    def text(self) -> str:
        """The one line that shows it."""
        return "  ".join(f"[{key}] {name}" for key, (name, _) in self._actions.items())

    def choose(self, key: str) -> str | None:
        """Does what ``key`` stands for and says it; None when it stands for nothing."""
        self.open = False
        if key not in self._actions:
            return None
        return self._actions[key][1]()


class StdioConsole:
    """Standard input and output as a client of the console.

    Args:
        menu: offered on a terminal; without effect elsewhere.
    """

    def __init__(self, poller: Poller, hub: ConsoleHub, menu: Menu, in_fd: int = 0, out_fd: int = 1) -> None:
        self._poller = poller
        self._hub = hub
        self._menu = menu
        self._in_fd, self._out_fd = in_fd, out_fd
        self._saved: list[Any] | None = None
        self._out = Outlet(poller, self._out_fd, self._output_gone)
        self.interactive = os.isatty(self._in_fd) and os.isatty(self._out_fd)
        if self.interactive:
            self._saved = termios.tcgetattr(self._in_fd)
            tty.setraw(self._in_fd)
        hub.attach(self._out.send, self._listen)
        self._listen()

    def say(self, text: str) -> None:
        """A line of the bench's own, on a terminal alone: what is piped gets the board's words and nothing else."""
        if self.interactive:
            self._out.send(f"\r\n[gatebench: {text}]\r\n".encode())

    def close(self) -> None:
        """Puts the terminal back as it was."""
        self._hub.detach(self._out.send, self._listen)
        self._poller.forget(self._in_fd)
        self._out.drain()
        self._poller.forget(self._out_fd)
        if self._saved is not None:
            termios.tcsetattr(self._in_fd, termios.TCSADRAIN, self._saved)
            self._saved = None

    def _listen(self) -> None:
        self._poller.watch(self._in_fd, READ, self._read)

    def _read(self, events: int) -> None:
        try:
            data = os.read(self._in_fd, READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self._poller.forget(self._in_fd)
            return
        if self.interactive:
            data = self._without_menu_keys(data)
        if data:
            self._hub.type(data)
        if not self._hub.ready:
            self._poller.forget(self._in_fd)

    def _without_menu_keys(self, data: bytes) -> bytes:
        """Takes out what is meant for the menu; a second Ctrl-] sends one to the board."""
        rest = bytearray()
        for byte in data:
            if self._menu.open and byte == MENU_KEY:
                self._menu.open = False
                rest.append(byte)
            elif self._menu.open:
                self.say(self._menu.choose(chr(byte)) or "menu closed")
            elif byte == MENU_KEY:
                self._menu.open = True
                self.say(self._menu.text())
            else:
                rest.append(byte)
        return bytes(rest)

    def _output_gone(self) -> None:
        """Nobody reads any more: the board goes on for its other clients."""
        self._hub.detach(self._out.send, self._listen)


class PtyConsole:
    """The console on a pty, for terminal programs and for tools that want a device.

    Args:
        link: a symbolic link that is to lead to it.

    Raises:
        OSError: the link cannot be made; FileExistsError where something else of that name is.
    """

    def __init__(self, poller: Poller, hub: ConsoleHub, link: str | None = None) -> None:
        self._poller = poller
        self._hub = hub
        # Our own slave end stays open: otherwise every client that leaves would end the master with EIO.
        self._fd, self._slave_fd = os.openpty()
        tty.setraw(self._slave_fd)
        os.set_blocking(self._fd, False)
        self.path = os.ttyname(self._slave_fd)
        self._link = link
        if link is not None:
            try:
                self._make_link(link)
            except OSError:
                self._close_ends()
                raise
        self._writes = 0
        self._out = Outlet(poller, self._fd, lambda: None, on_watch=self._watch_writes)
        hub.attach(self._out.send, self._watch)
        self._watch()

    def close(self) -> None:
        """Closes both ends and takes the link away."""
        self._hub.detach(self._out.send, self._watch)
        self._out.drain()
        self._poller.forget(self._fd)
        self._close_ends()
        if self._link is not None and os.path.islink(self._link) and os.readlink(self._link) == self.path:
            os.unlink(self._link)

    def _close_ends(self) -> None:
        os.close(self._fd)
        os.close(self._slave_fd)

    def _make_link(self, link: str) -> None:
        """Replaces a link that an earlier run left, in one step; never a file."""
        if os.path.lexists(link) and not os.path.islink(link):
            raise FileExistsError(f"pty link {link}: there is something else of that name")
        draft = f"{link}.{os.getpid()}"
        try:
            os.symlink(self.path, draft)
            os.replace(draft, link)
        except OSError as error:
            raise OSError(f"pty link {link}: cannot be made: {reason_from_oserror(error)}") from error

    def _watch_writes(self, events: int) -> None:
        self._writes = events
        self._watch()

    def _watch(self) -> None:
        self._poller.watch(self._fd, self._writes | (READ if self._hub.ready else 0), self._ready)

    def _ready(self, events: int) -> None:
        if events & READ:
            try:
                self._hub.type(os.read(self._fd, READ_BYTES))
            except OSError:
                pass
        if events & ~READ:
            self._out.flush()
        self._watch()
