"""The configuration: modules with options, in three copies.

::

    config add/change/rem           config write                 power-on
    ---------------------> working --------------> flash --------------------> working and active
                              |
                              | config activate
                              v
                           active: what the firmware works with

A module of the firmware registers its fields with their kinds and defaults, and what is to happen when they become
active. Only what was set is kept and shown; everything else has its default. In flash a module is one value,
``config/MODULE``, in the words of the command language: ``/option value ...``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from firmware.commands.kinds import Kind, Text
from firmware.commands.language import MASK, text_from_value, value_from_text
from firmware.commands.registry import Argument, Call, Operation, Registry, Reply
from firmware.commands.store import Store
from firmware.errors import CommandError, ConfigError

__all__ = ["Field", "Settings", "register_config"]

PREFIX = "config/"

Pairs = Sequence[tuple[str, str | None]]


@dataclass(frozen=True, slots=True)
class Field:
    """One option of a module.

    Attributes:
        secret: never shown.
        seal: turns the given value into what is kept, such as a salted hash of a password. May raise ValueError.
    """

    name: str
    kind: Kind = field(default_factory=Text)
    default: Any = None
    help: str = ""
    secret: bool = False
    seal: Callable[[str], str] | None = None


Apply = Callable[[Mapping[str, Any]], None]
"""Gets a module's values by name, defaults included. ConfigError: they cannot be used; then nothing is activated."""


@dataclass(slots=True)
class _Module:
    fields: dict[str, Field]
    apply: Apply | None
    working: dict[str, str] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    active: dict[str, str] = field(default_factory=dict)


class Settings:
    """The configuration of one gateway."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._modules: dict[str, _Module] = {}

    def register(self, module: str, fields: Sequence[Field], apply: Apply | None = None) -> None:
        """Adds a module and reads from flash what was written for it; ``apply`` is not called for that."""
        if module in self._modules:
            raise ValueError(f"configuration module {module} is registered already")
        entry = _Module({field.name: field for field in fields}, apply)
        stored = self._store.get(PREFIX + module)
        entry.written = _values_from_text(stored.decode(), entry.fields) if stored else {}
        entry.working = dict(entry.written)
        entry.active = dict(entry.written)
        self._modules[module] = entry

    def value(self, module: str, name: str) -> Any:
        """The active value, or its default."""
        entry = self._modules[module]
        return _parsed(entry.fields[name], entry.active)

    @property
    def modules(self) -> tuple[str, ...]:
        return tuple(self._modules)

    def fields(self, module: str) -> tuple[Field, ...]:
        """A module's fields; none when there is no such module."""
        entry = self._modules.get(module.upper())
        return tuple(entry.fields.values()) if entry else ()

    def change(self, module: str, pairs: Pairs) -> None:
        """Sets options in the working copy, all or none. CommandError, ConfigError."""
        entry = self._module(module)
        entry.working.update(_checked(module, entry, pairs))

    def add(self, module: str, pairs: Pairs) -> None:
        """As ``change``, for options that are not set yet."""
        entry = self._module(module)
        checked = _checked(module, entry, pairs)
        for name in checked:
            if name in entry.working:
                raise ConfigError(name, f"/{name} of {module.upper()} is set already, use config change")
        entry.working.update(checked)

    def remove(self, module: str, names: Sequence[str] = ()) -> None:
        """Takes options, or without names all of the module's, back to their defaults in the working copy."""
        entry = self._module(module)
        for name in names:
            _known(module, entry, name)
            if name not in entry.working:
                raise ConfigError(name, f"/{name} of {module.upper()} is not set")
        if not names and not entry.working:
            raise CommandError(f"module {module.upper()} has no option set")
        entry.working = {name: text for name, text in entry.working.items() if names and name not in names}

    def write(self) -> list[str]:
        """Writes the working copy to flash in one step. The modules that had changed."""
        changed = self.unwritten
        if changed:
            self._store.commit({PREFIX + name: _bytes_from_values(self._modules[name].working) for name in changed})
        for name in changed:
            self._modules[name].written = dict(self._modules[name].working)
        return changed

    def activate(self) -> list[str]:
        """Makes the working copy what counts. The modules that had changed.

        ConfigError when a module refuses its values: then those before it get their old ones back.
        """
        changed = self.inactive
        done: list[str] = []
        try:
            for name in changed:
                self._apply(name, self._modules[name].working)
                done.append(name)
        except ConfigError:
            for name in done:
                self._apply(name, self._modules[name].active)
            raise
        for name in changed:
            self._modules[name].active = dict(self._modules[name].working)
        return changed

    @property
    def unwritten(self) -> list[str]:
        """Modules whose working copy is not the one in flash."""
        return [name for name, entry in self._modules.items() if entry.working != entry.written]

    @property
    def inactive(self) -> list[str]:
        """Modules whose working copy is not the active one."""
        return [name for name, entry in self._modules.items() if entry.working != entry.active]

    def view(self, module: str) -> dict[str, str]:
        """What is set in the working copy, secrets as asterisks."""
        entry = self._module(module)
        return {name: MASK if entry.fields[name].secret else text for name, text in entry.working.items()}

    def secrets(self, module: str) -> frozenset[str]:
        """Names of the options that the log must not show."""
        return frozenset(field.name for field in self.fields(module) if field.secret)

    def _apply(self, name: str, values: Mapping[str, str]) -> None:
        entry = self._modules[name]
        if entry.apply is not None:
            entry.apply({field.name: _parsed(field, values) for field in entry.fields.values()})

    def _module(self, module: str) -> _Module:
        entry = self._modules.get(module.upper())
        if entry is None:
            raise CommandError(f"no configuration module '{module}', there are: {', '.join(self._modules)}")
        return entry


def _known(module: str, entry: _Module, name: str) -> Field:
    found = entry.fields.get(name)
    if found is None:
        raise ConfigError(name, f"module {module.upper()} has no option /{name}, it has: /{', /'.join(entry.fields)}")
    return found


def _checked(module: str, entry: _Module, pairs: Pairs) -> dict[str, str]:
    """The values as they are kept."""
    if not pairs:
        raise CommandError(f"which option of {module.upper()}? it has: /{', /'.join(entry.fields)}")
    checked: dict[str, str] = {}
    for name, text in pairs:
        found = _known(module, entry, name)
        if name in checked:
            raise ConfigError(name, f"option /{name} is given twice")
        if text is None:
            raise ConfigError(name, f"option /{name} needs a value: {found.kind.shape}")
        if found.secret and text == MASK:
            raise ConfigError(name, f"/{name}: the asterisks stand for a value that is not shown")
        try:
            value = found.kind.parse(text)
            checked[name] = found.seal(text) if found.seal else str(value)
        except ValueError as error:
            given = "" if found.secret else f" '{text[:60]}'"
            raise ConfigError(name, f"/{name}{given}: {error}") from None
    return checked


def _parsed(found: Field, values: Mapping[str, str]) -> Any:
    text = values.get(found.name)
    if text is None:
        return found.default
    return text if found.seal else found.kind.parse(text)


def _bytes_from_values(values: Mapping[str, str]) -> bytes | None:
    return _text_from_values(values).encode() if values else None


def _text_from_values(values: Mapping[str, str]) -> str:
    return " ".join(f"/{name} {text_from_value(text)}" for name, text in values.items())


def _values_from_text(text: str, fields: Mapping[str, Field]) -> dict[str, str]:
    """What an older or newer firmware wrote and this one does not know, or no longer allows, is left out."""
    values: dict[str, str] = {}
    words = text.split()
    for name, word in zip(words[::2], words[1::2], strict=False):
        found = fields.get(name.removeprefix("/"))
        if found is None:
            continue
        try:
            value = value_from_text(word)
            _parsed(found, {found.name: value})
        except (CommandError, ValueError):
            continue
        values[found.name] = value
    return values


def register_config(registry: Registry, settings: Settings) -> None:
    """Registers ``config show``, ``add``, ``change``, ``rem``, ``write`` and ``activate``."""

    async def show(call: Call) -> Reply:
        chosen = call.text("module")
        views = {name.upper(): settings.view(name) for name in ([chosen] if chosen else settings.modules)}
        lines = [f"config change {name} {_text_from_values(view)}" for name, view in views.items() if view]
        if chosen:
            lines += [
                _unset_line(field) for field in settings.fields(chosen) if field.name not in views[chosen.upper()]
            ]
        elif not lines:
            lines = [f"# nothing is set; config show MODULE tells what can be: {', '.join(settings.modules)}"]
        if settings.unwritten:
            lines.append(f"# not written: {', '.join(settings.unwritten)}")
        if settings.inactive:
            lines.append(f"# not active: {', '.join(settings.inactive)}")
        return Reply(
            "\n".join(lines), {"modules": views, "unwritten": settings.unwritten, "inactive": settings.inactive}
        )

    async def add(call: Call) -> Reply:
        settings.add(call.text("module"), call.pairs)
        return Reply()

    async def change(call: Call) -> Reply:
        settings.change(call.text("module"), call.pairs)
        return Reply()

    async def rem(call: Call) -> Reply:
        settings.remove(call.text("module"), [name for name, _ in call.pairs])
        return Reply()

    async def write(call: Call) -> Reply:
        changed = settings.write()
        return Reply(f"written: {', '.join(changed)}" if changed else "nothing to write")

    async def activate(call: Call) -> Reply:
        changed = settings.activate()
        return Reply(f"active: {', '.join(changed)}" if changed else "nothing to activate")

    def suggest(words: Sequence[str]) -> list[str]:
        if not words:
            return list(settings.modules)
        fields = {f"/{field.name}": field for field in settings.fields(words[0])}
        if words[-1] in fields:
            return [text_from_value(value) for value in fields[words[-1]].kind.values]
        return [name for name in fields if name not in words]

    def masked(options: Mapping[str, Any]) -> frozenset[str]:
        return settings.secrets(options["module"])

    module = (Argument("module", Text(limit=32), "configuration module", required=True),)
    for name, text, handler in (
        ("add", "sets options that are not set yet", add),
        ("change", "sets options", change),
        ("rem", "takes options, or all of a module, back to their defaults", rem),
    ):
        registry.register(
            Operation(
                "CONFIG",
                name,
                text,
                handler,
                arguments=module,
                open_options=True,
                suggest=suggest,
                masked=masked,
            )
        )
    registry.register(
        Operation(
            "CONFIG",
            "show",
            "shows what is set, as commands that set it",
            show,
            arguments=(Argument("module", Text(limit=32)),),
            query=True,
            suggest=lambda words: list(settings.modules) if not words else [],
        )
    )
    registry.register(Operation("CONFIG", "write", "keeps the configuration through power cuts", write))
    registry.register(Operation("CONFIG", "activate", "makes the configuration count", activate))


def _unset_line(found: Field) -> str:
    default = "" if found.default is None or found.secret else f", default {found.default}"
    return f"# /{found.name} {found.kind.shape}{default}{': ' + found.help if found.help else ''}"
