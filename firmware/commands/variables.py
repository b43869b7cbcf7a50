"""Persistent variables: ``vars read``, ``vars create``, ``vars del``.

A variable has a name such as ``X509/REQUESTRESPONSE/00000``, a type and a value. Most lie in flash as they are; a part
of the firmware can own some of them, such as the pending signing request, whose variables are another view of what the
X509 module keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from firmware.commands.kinds import Hex, Text
from firmware.commands.language import text_from_value
from firmware.commands.registry import Argument, Call, Operation, Registry, Reply
from firmware.commands.store import Store
from firmware.errors import CommandError

__all__ = ["NAME_LIMIT", "VALUE_LIMIT", "Variable", "VariableOwner", "Variables", "check_name", "register_vars"]

PREFIX = "vars/"
NAME_LIMIT = 59
"""Bytes of a name: with the prefix it fits the flash store's 64."""

VALUE_LIMIT = 16_384
"""Bytes of a value: a certificate chain in DER fits, and its command line stays below the language's limit."""

NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")

TYPES = ("pb", "ps")
"""``pb``: bytes in hex, as management tools write certificates; ``ps``: percent-encoded text (assumed)."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable; ``value`` is None where it can only be written."""

    name: str
    type: str
    value: bytes | None

    @property
    def text(self) -> str:
        """The value as ``vars read`` prints it: one word, ``-`` where it is not shown."""
        if self.value is None:
            return "-"
        if self.type == "pb":
            return self.value.hex()
        return text_from_value(self.value.decode(errors="replace"))


class VariableOwner(Protocol):
    """A part of the firmware to which variables of one prefix belong. Errors are CommandError."""

    def variables(self) -> list[Variable]:
        """Those that exist now."""
        ...

    def create(self, name: str, value: bytes) -> None: ...

    def delete(self, name: str) -> None:
        """Only called for one that exists."""
        ...


class Variables:
    """All persistent variables."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._owners: dict[str, VariableOwner] = {}
        self._write_only: set[str] = set()

    def own(self, prefix: str, owner: VariableOwner, write_only: tuple[str, ...] = ()) -> None:
        """Hands ``prefix`` (``X509/``) to an owner. Values of ``write_only`` are kept out of the log."""
        self._owners[prefix] = owner
        self._write_only.update(write_only)

    def is_write_only(self, name: str) -> bool:
        return name in self._write_only

    def list(self) -> list[Variable]:
        """All that exist, by name."""
        found = [variable for owner in self._owners.values() for variable in owner.variables()]
        found += [self._stored(name.removeprefix(PREFIX)) for name in self._store.names(PREFIX)]
        return sorted(found, key=lambda variable: variable.name)

    def read(self, name: str) -> Variable:
        """CommandError when there is none of that name."""
        check_name(name)
        owner = self._owner(name)
        if owner is None:
            return self._stored(name)
        for variable in owner.variables():
            if variable.name == name:
                return variable
        raise CommandError(f"no variable {name}")

    def create(self, name: str, type_name: str, text: str) -> None:
        """Sets a variable, whether it existed or not. CommandError for a bad name, type or value."""
        check_name(name)
        if type_name not in TYPES:
            raise CommandError(f"type '{type_name}': must be one of {', '.join(TYPES)}")
        try:
            value = Hex(limit=VALUE_LIMIT).parse(text) if type_name == "pb" else text.encode()
        except ValueError as error:
            raise CommandError(f"value of {name}: {error}") from None
        if len(value) > VALUE_LIMIT:
            raise CommandError(f"value of {name}: must be at most {VALUE_LIMIT} bytes, is {len(value)}")
        owner = self._owner(name)
        if owner is not None:
            owner.create(name, value)
        else:
            self._store.commit({PREFIX + name: type_name.encode() + b" " + value})

    def delete(self, name: str) -> None:
        """CommandError when there is none of that name."""
        self.read(name)
        owner = self._owner(name)
        if owner is not None:
            owner.delete(name)
        else:
            self._store.commit({PREFIX + name: None})

    def _owner(self, name: str) -> VariableOwner | None:
        return next((owner for prefix, owner in self._owners.items() if name.startswith(prefix)), None)

    def _stored(self, name: str) -> Variable:
        data = self._store.get(PREFIX + name)
        if data is None:
            raise CommandError(f"no variable {name}")
        type_name, _, value = data.partition(b" ")
        return Variable(name, type_name.decode(), None if name in self._write_only else value)


def check_name(name: str) -> None:
    """CommandError unless ``name`` is words of letters, digits, ``-``, ``_``, ``.`` with slashes between them."""
    if not 1 <= len(name) <= NAME_LIMIT:
        raise CommandError(f"variable name '{name[:NAME_LIMIT]}': must be 1 to {NAME_LIMIT} characters, is {len(name)}")
    if not all(word and NAME_CHARACTERS.issuperset(word) for word in name.split("/")):
        raise CommandError(
            f"variable name '{text_from_value(name)}': must be words of letters, digits and -_. with / between"
        )


def register_vars(registry: Registry, variables: Variables) -> None:
    """Registers ``vars read``, ``create`` and ``del``."""

    async def read(call: Call) -> Reply:
        name = call.text("name")
        found = [variables.read(name)] if name else variables.list()
        data = [
            {"name": variable.name, "type": variable.type, "value": None if variable.value is None else variable.text}
            for variable in found
        ]
        text = "\n".join(f"{variable.name} {variable.type} {variable.text}" for variable in found)
        return Reply(text, data[0] if name else data)

    async def create(call: Call) -> Reply:
        variables.create(call.text("name"), call.text("type"), call.text("value"))
        return Reply()

    async def delete(call: Call) -> Reply:
        variables.delete(call.text("name"))
        return Reply()

    def names(words: object) -> list[str]:
        return [variable.name for variable in variables.list()] if not words else []

    def masked(options: Mapping[str, Any]) -> frozenset[str]:
        return frozenset({"value"}) if variables.is_write_only(options["name"]) else frozenset()

    name = Argument("name", Text(limit=NAME_LIMIT), "for example X509/REQUEST", required=True)
    hex_limit = 2 * VALUE_LIMIT
    registry.register(
        Operation(
            "VARS",
            "read",
            "shows a persistent variable, or all: name, type, value",
            read,
            arguments=(Argument("name", Text(limit=NAME_LIMIT)),),
            query=True,
            suggest=names,
        )
    )
    registry.register(
        Operation(
            "VARS",
            "create",
            "sets a persistent variable",
            create,
            arguments=(
                name,
                Argument("type", Text(limit=8), "pb: bytes in hex, ps: text", required=True),
                Argument("value", Text(limit=hex_limit), required=True),
            ),
            suggest=names,
            masked=masked,
        )
    )
    registry.register(
        Operation("VARS", "del", "removes a persistent variable", delete, arguments=(name,), suggest=names)
    )
