"""The one registry of operations: console, web pages, machine URLs and scripts are faces of it.

An operation is registered once, with its module, options, help line and handler::

    registry.register(Operation(
        "X509", "trust-remove", "removes certificates from the trust list", remove,
        options=(Option("sha1", Hex(sizes=(20,)), "fingerprint", required=True, repeat=100),),
    ))

    async def remove(call: Call) -> Reply:
        ...call.values("sha1")...
        return Reply("removed 2 certificates")

The words of the top level (``help``, ``reset`` ...) are the operations of module ``CMD``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from firmware.commands.kinds import Kind, Text

__all__ = [
    "FORM_OPTIONS",
    "TOP_LEVEL",
    "Argument",
    "Call",
    "Handler",
    "Operation",
    "Option",
    "Registry",
    "Reply",
    "Session",
]

TOP_LEVEL = "CMD"
"""Module whose operations are words of their own: ``reset`` and ``mod cmd CMD reset`` are the same."""


class Session(Protocol):
    """Who gives a command, over which channel, and what the channel can do meanwhile."""

    @property
    def channel(self) -> str:
        """``console``, ``http`` or ``script``."""
        ...

    @property
    def user(self) -> str: ...

    @property
    def peer(self) -> str:
        """Address of the far end; empty on the serial line."""
        ...

    @property
    def secure(self) -> bool:
        """Whether a private key may come this way: the serial line and HTTPS, not plain HTTP."""
        ...

    async def paste(self, what: str) -> str:
        """Text that the user hands over with the command: pasted on the console, the uploaded file over HTTP.

        ``what`` names it in the prompt, for example ``PEM``. CommandError when it did not come whole.
        """
        ...

    async def say(self, text: str) -> None:
        """Shows a line at once, before the reply (progress); lost where there is nobody to read it."""
        ...

    def log_out(self) -> None:
        """Ends the session once the reply is out."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """What an operation answers.

    Attributes:
        text: lines for people, without a line end behind the last; empty: nothing to say.
        data: what ``/json`` prints, made of dicts, lists, strings, numbers, booleans and None.
    """

    text: str = ""
    data: object | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """``/name value``, or ``/name`` alone when it is a flag (``kind`` None).

    Attributes:
        default: what ``Call.get`` gives when the option is absent.
        repeat: how many times it may be given; above 1 the values are collected (``Call.values``).
        secret: printed as asterisks in the log.
        ignored: accepted and dropped; forms of the machine interface send such.
    """

    name: str
    kind: Kind | None = field(default_factory=Text)
    help: str = ""
    default: Any = None
    required: bool = False
    repeat: int = 1
    secret: bool = False
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class Argument:
    """A word without a slash in front, by its place.

    Attributes:
        path: the value may begin with a slash: ``card ls /CA``.
        rest: takes all words that are left, as a tuple.
    """

    name: str
    kind: Kind = field(default_factory=Text)
    help: str = ""
    default: Any = None
    required: bool = False
    path: bool = False
    rest: bool = False


FORM_OPTIONS = (
    Option("cmd", Text(), "sent by forms", ignored=True),
    Option("redirect", None, "sent by forms", ignored=True),
)
"""What the administration forms send along with every command ("/cmd servercert-create /redirect /target device")."""


@dataclass(frozen=True, slots=True)
class Call:
    """One operation with its parsed options, about to be carried out.

    Attributes:
        options: values by option and argument name; absent ones are not in it.
        pairs: of an operation that takes any option: ``(name, value)`` in order; value None where none was given.
    """

    operation: Operation
    options: Mapping[str, Any]
    session: Session
    pairs: tuple[tuple[str, str | None], ...] = ()
    json: bool = False

    def get(self, name: str) -> Any:
        """The value of an option or argument, or its default."""
        return self.options.get(name, self.operation.parameter(name).default)

    def text(self, name: str) -> str:
        """As ``get`` for text: ``""`` when there is neither value nor default."""
        value = self.get(name)
        return "" if value is None else str(value)

    def number(self, name: str) -> int | None:
        """As ``get`` for numbers."""
        value = self.get(name)
        return None if value is None else int(value)

    def flag(self, name: str) -> bool:
        return bool(self.get(name))

    def values(self, name: str) -> tuple[Any, ...]:
        """All values of an option that may be repeated, in order."""
        value = self.get(name)
        return () if value is None else tuple(value)


Handler = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that the gateway can be told to do or asked.

    Attributes:
        query: answers a question, so it takes ``/json``.
        paste: takes text from ``Session.paste``.
        open_options: takes any ``/option value`` (``config change``); they come as ``Call.pairs``.
        suggest: for completion: what may follow these words of the operation's own.
        logged: whether this call goes to the log of administration; without it all do but those of queries.
        masked: names whose values the log must not show, given the options of the call, where that depends on them.
    """

    module: str
    name: str
    help: str
    handler: Handler
    options: tuple[Option, ...] = ()
    arguments: tuple[Argument, ...] = ()
    query: bool = False
    paste: bool = False
    open_options: bool = False
    suggest: Callable[[Sequence[str]], Sequence[str]] | None = None
    logged: Callable[[Call], bool] | None = None
    masked: Callable[[Mapping[str, Any]], frozenset[str]] | None = None

    @property
    def command(self) -> str:
        """As it is typed: ``x509 trust-list`` or ``reset``."""
        return self.name if self.module == TOP_LEVEL else f"{self.module.lower()} {self.name}"

    def option(self, name: str) -> Option | None:
        return next((option for option in self.options if option.name == name), None)

    @property
    def parameters(self) -> tuple[Option | Argument, ...]:
        return (*self.arguments, *self.options)

    def parameter(self, name: str) -> Option | Argument:
        """The option or argument of that name. KeyError: the handler asks for what was not registered."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(f"{self.command} has no option or argument {name}")

    @property
    def usage(self) -> str:
        """One line: the command and what it takes."""
        words = [self.command]
        for argument in self.arguments:
            word = argument.name.upper() + ("..." if argument.rest else "")
            words.append(word if argument.required else f"[{word}]")
        for option in self.options:
            if option.ignored:
                continue
            word = f"/{option.name}" + (f" {option.kind.shape}" if option.kind else "")
            word += f" (x{option.repeat})" if option.repeat > 1 else ""
            words.append(word if option.required else f"[{word}]")
        if self.open_options:
            words.append("[/OPTION VALUE ...]")
        if self.query:
            words.append("[/json]")
        return " ".join(words)


class Registry:
    """All operations, by module and name, in the order of registration."""

    def __init__(self) -> None:
        self._modules: dict[str, dict[str, Operation]] = {}

    def register(self, operation: Operation) -> None:
        """Adds an operation. ValueError when its name is taken or its shape makes no sense: a mistake in the code."""
        _check(operation)
        module = self._modules.setdefault(operation.module, {})
        if operation.name in module:
            raise ValueError(f"{operation.command} is registered already")
        module[operation.name] = operation

    @property
    def modules(self) -> tuple[str, ...]:
        return tuple(self._modules)

    def operations(self, module: str) -> tuple[Operation, ...]:
        """A module's operations; none when there is no such module."""
        return tuple(self._modules.get(module, {}).values())

    def find(self, module: str, name: str) -> Operation | None:
        return self._modules.get(module, {}).get(name)

    def module(self, word: str) -> str | None:
        """The module that ``word`` means: any case, and with or without the instance number 0 (``CMD0``)."""
        name = word.upper()
        if name not in self._modules:
            name = name.removesuffix("0")
        return name if name in self._modules else None

    def __iter__(self) -> Iterator[Operation]:
        for module in self._modules.values():
            yield from module.values()


def _check(operation: Operation) -> None:
    names = [parameter.name for parameter in operation.parameters]
    problem = None
    if operation.module != operation.module.upper() or operation.name != operation.name.lower():
        problem = "module in upper case and name in lower case wanted"
    elif len(set(names)) != len(names) or "json" in names:
        problem = f"names {names} must differ and leave json alone"
    elif any(name != name.lower() for name in names):
        problem = f"names {names} must be lower case"
    elif any(argument.rest for argument in operation.arguments[:-1]):
        problem = "only the last argument can take the rest"
    if problem:
        raise ValueError(f"{operation.module} {operation.name}: {problem}")
