"""A small registry, a session that pastes from a list, and stores in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from firmware.commands import (
    FORM_OPTIONS,
    Argument,
    Call,
    Choice,
    Hex,
    Number,
    Operation,
    Option,
    Registry,
    Reply,
    Text,
)
from firmware.errors import CommandError


@dataclass
class FakeSession:
    """Pastes what it was given; keeps what was said."""

    channel: str = "console"
    user: str = "admin"
    peer: str = ""
    secure: bool = True
    pasted: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    logged_out: bool = False

    async def paste(self, what: str) -> str:
        if not self.pasted:
            raise CommandError(f"no {what} came")
        return self.pasted.pop(0)

    async def say(self, text: str) -> None:
        self.said.append(text)

    def log_out(self) -> None:
        self.logged_out = True


@dataclass
class FakeStore:
    """A dict in place of the flash store; counts commits, and fails one when told to."""

    content: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0
    full: bool = False

    def get(self, name: str) -> bytes | None:
        return self.content.get(name)

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        if self.full:
            raise OSError(28, "flash is full")
        self.commits += 1
        for name, value in changes.items():
            if value is None:
                self.content.pop(name, None)
            else:
                self.content[name] = value

    def names(self, prefix: str = "") -> list[str]:
        return [name for name in self.content if name.startswith(prefix)]


class FakeRtc:
    """A clock that stands still. Not modelled: time going on."""

    def __init__(self) -> None:
        self.now: tuple[int, ...] = (1970, 1, 1, 3, 0, 0, 12, 0)

    def datetime(self, datetimetuple: tuple[int, ...] | None = None, /) -> Any:
        if datetimetuple is not None:
            self.now = datetimetuple
        return self.now


def finish(awaitable: Awaitable[Any]) -> Any:
    """Runs a coroutine that waits for nothing."""
    try:
        awaitable.__await__().send(None)  # type: ignore[attr-defined]
    except StopIteration as ending:
        return ending.value
    raise AssertionError("it waited for something")


async def _echo(call: Call) -> Reply:
    return Reply("done", {"options": {name: str(value) for name, value in call.options.items()}})


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
def rtc() -> FakeRtc:
    return FakeRtc()


@pytest.fixture
def run_to_end() -> Any:
    return finish


@pytest.fixture
def registry() -> Registry:
    """Operations as the X509 module has them, and a few of other shapes."""
    registry = Registry()
    registry.register(
        Operation(
            "X509",
            "servercert-create",
            "creates a certificate or a signing request",
            _echo,
            options=(
                Option("target", Text(limit=64), "device or a domain", default="device"),
                Option("type", Choice("Self-signed", "Signing request"), "what to create", default="Self-signed"),
                Option("key", Choice("1024-bit", "2048-bit", "4096-bit", "reuse"), default="1024-bit"),
                Option("years", Number(1, 50), "validity", default=10),
                Option("dn-cn", Text(limit=64)),
                Option("san-dns", Text(), repeat=3),
                Option("backup", None, "keep a copy on the card"),
                *FORM_OPTIONS,
            ),
        )
    )
    registry.register(Operation("X509", "trust-list", "lists trusted certificates", _echo, query=True))
    registry.register(
        Operation(
            "X509", "trust-remove", "removes", _echo, options=(Option("sha1", Hex((20,)), required=True, repeat=9),)
        )
    )
    registry.register(
        Operation("CARD", "ls", "lists files", _echo, arguments=(Argument("path", default="/", path=True),), query=True)
    )
    registry.register(
        Operation("X509", "connect", "connects", _echo, arguments=(Argument("peer", required=True),), query=True)
    )
    registry.register(
        Operation("TLS", "proxy", "logs in", _echo, options=(Option("user"), Option("password", secret=True)))
    )
    registry.register(Operation("CMD", "reset", "restarts", _echo))
    return registry
