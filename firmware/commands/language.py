"""The command language: a line in, an operation with its parsed options out. Pure.

::

    line      = [ "mod cmd" ] MODULE command *( option / argument )  /  word *( option / argument )
    option    = "/" name [ value ]          a flag has no value
    value     = characters without blanks; %20 is a blank, %25 a percent sign, %2F a slash at the beginning

Modules, commands and options may be typed in any case. Every error is one line that names what is wrong, and what was
perhaps meant. ``+`` is a plus sign here: only HTTP's forms write a blank so, and HTTP decodes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from firmware.commands.kinds import Kind
from firmware.commands.registry import TOP_LEVEL, Argument, Call, Operation, Option, Registry, Session
from firmware.errors import CommandError

__all__ = [
    "LINE_LIMIT",
    "MASK",
    "Parsed",
    "call_from_fields",
    "call_from_line",
    "line_from_call",
    "resolve",
    "text_from_value",
    "value_from_text",
]

LINE_LIMIT = 65_536
"""Characters of a command line: a variable of 32 KiB in hex fits; a console line is held shorter by the editor."""

SHOWN_LIMIT = 60
"""Characters of a wrong value that an error repeats."""

MASK = "********"
"""What stands for a secret: its length must not show."""

HEX_DIGITS = frozenset("0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True)
class Parsed:
    """The operation that a line means, and the words behind it."""

    operation: Operation
    words: tuple[str, ...]


def value_from_text(text: str) -> str:
    """Decodes percent-encoding. CommandError for a ``%`` without two digits, or bytes that are not UTF-8."""
    if "%" not in text:
        return text
    parts = text.split("%")
    data = bytearray(parts[0].encode())
    for part in parts[1:]:
        if len(part) < 2 or not HEX_DIGITS.issuperset(part[:2]):
            raise CommandError(
                f"value {shown(text)}: % must be followed by two hexadecimal digits (%25 is a percent sign)"
            )
        data.append(int(part[:2], 16))
        data += part[2:].encode()
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise CommandError(f"value {shown(text)}: its bytes are not UTF-8") from None


def text_from_value(value: str) -> str:
    """Encodes a value so that it is one word, and no option: blanks, control characters, ``%``, what is not ASCII."""
    text = "".join(
        character if "!" <= character <= "~" and character != "%" else _escape(character) for character in value
    )
    return "%2F" + text[1:] if text.startswith("/") else text


def _escape(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="replace"))


def shown(text: str) -> str:
    """A wrong value as an error repeats it: in quotes, encoded, and not too long."""
    cut = text if len(text) <= SHOWN_LIMIT else text[:SHOWN_LIMIT] + "..."
    return "'" + "".join(character if character.isprintable() else _escape(character) for character in cut) + "'"


def resolve(registry: Registry, line: str) -> Parsed:
    """Finds the operation that a line means. CommandError when there is none."""
    if len(line) > LINE_LIMIT:
        raise CommandError(f"line of {len(line)} characters: must be at most {LINE_LIMIT}")
    words = line.split()
    if not words:
        raise CommandError("no command")
    if words[0].lower() == "mod":
        return _resolve_module(registry, *_after_mod_cmd(words))
    module = registry.module(words[0])
    operation = registry.find(TOP_LEVEL, words[0].lower())
    if operation is not None:
        return Parsed(operation, tuple(words[1:]))
    if module is not None:
        return _resolve_module(registry, words[0], words[1:])
    meant = _meant(words[0], _commands(registry, words[0]))
    raise CommandError(f"unknown command {shown(words[0])}{meant or ', try help'}")


def _after_mod_cmd(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    if len(words) < 3 or words[1].lower() != "cmd":
        raise CommandError("mod must read: mod cmd MODULE COMMAND")
    return words[2], words[3:]


def _resolve_module(registry: Registry, word: str, words: Sequence[str]) -> Parsed:
    module = registry.module(word)
    if module is None:
        raise CommandError(f"unknown module {shown(word)}{_meant(word.upper(), registry.modules)}")
    if not words:
        raise CommandError(f"module {module} needs a command, try help {module}")
    operation = registry.find(module, words[0].lower())
    if operation is None:
        names = [candidate.name for candidate in registry.operations(module)]
        raise CommandError(f"module {module} has no command {shown(words[0])}{_meant(words[0].lower(), names)}")
    return Parsed(operation, tuple(words[1:]))


def _commands(registry: Registry, word: str) -> list[str]:
    """What a first word can be: top-level words, modules, and, against a forgotten module, whole commands."""
    words = [operation.name for operation in registry.operations(TOP_LEVEL)]
    words += [module.lower() for module in registry.modules if module != TOP_LEVEL]
    if "-" in word:
        return words + [operation.command for operation in registry if operation.module != TOP_LEVEL]
    return words


def _meant(word: str, candidates: Iterable[str]) -> str:
    import difflib  # only when somebody mistypes: it pulls in the regular expressions

    candidates = tuple(candidates)
    for candidate in candidates:
        if candidate.endswith(f" {word.lower()}"):
            return f", did you mean {candidate}"
    close = difflib.get_close_matches(word[:SHOWN_LIMIT], candidates, n=1, cutoff=0.6)
    return f", did you mean {close[0]}" if close else ""


def call_from_line(registry: Registry, line: str, session: Session) -> Call:
    """Parses a whole line. CommandError, in one line, for whatever is wrong with it."""
    parsed = resolve(registry, line)
    return _Reader(parsed.operation, parsed.words).call(session)


def call_from_fields(operation: Operation, fields: Iterable[tuple[str, str]], session: Session) -> Call:
    """Makes a call from a form: decoded ``(name, value)`` fields; an empty value stands for an option left out.

    A flag is set by any value; fields of arguments go by the argument's name.
    """
    reader = _Reader(operation, ())
    for name, value in fields:
        reader.take_field(name.lower(), value)
    return reader.finish(session)


class _Reader:
    """Reads the words behind a command."""

    def __init__(self, operation: Operation, words: Sequence[str]) -> None:
        self._operation = operation
        self._words = list(words)
        self._values: dict[str, list[Any]] = {}
        self._pairs: list[tuple[str, str | None]] = []
        self._json = False
        self._takes_paths = any(argument.path for argument in operation.arguments)
        self._free = list(operation.arguments)

    def call(self, session: Session) -> Call:
        while self._words:
            word = self._words.pop(0)
            if word.startswith("/") and not self._is_path(word):
                self._take_option(word[1:].lower(), word)
            else:
                self._take_argument(word)
        return self.finish(session)

    def finish(self, session: Session) -> Call:
        operation = self._operation
        for parameter in operation.parameters:
            if parameter.required and parameter.name not in self._values:
                word = f"/{parameter.name}" if isinstance(parameter, Option) else parameter.name.upper()
                raise CommandError(f"{operation.command} needs {word}, usage: {operation.usage}")
        return Call(operation, self._collected(), session, tuple(self._pairs), self._json)

    def take_field(self, name: str, value: str) -> None:
        """One field of a form."""
        operation = self._operation
        option = operation.option(name)
        argument = next((argument for argument in operation.arguments if argument.name == name), None)
        if name == "json" and operation.query:
            self._json = True
        elif argument is not None:
            if value:
                self._store_argument(argument, value)
        elif option is not None:
            if option.kind is None:
                self._store(option, True)
            elif value and not option.ignored:
                self._store(option, _parse_value(option.kind, f"/{name}", value))
        elif operation.open_options:
            self._pairs.append((name, value))
        else:
            raise CommandError(self._unknown(name))

    def _is_path(self, word: str) -> bool:
        known = word[1:].lower()
        return self._takes_paths and self._operation.option(known) is None and known != "json"

    def _take_option(self, name: str, word: str) -> None:
        operation = self._operation
        option = operation.option(name)
        if option is None and name == "json" and operation.query:
            self._json = True
        elif option is None and operation.open_options and name:
            has_value = bool(self._words) and not self._words[0].startswith("/")
            self._pairs.append((name, value_from_text(self._words.pop(0)) if has_value else None))
        elif option is None:
            raise CommandError(self._unknown(word[1:]))
        elif option.kind is None:
            self._store(option, True)
        else:
            if not self._words or self._words[0].startswith("/"):
                if "redirect" in self._values:
                    return  # What came from a form brings its empty fields along: they are left out.
                raise CommandError(f"option /{name} needs a value: {option.kind.shape}")
            text = value_from_text(self._words.pop(0))
            if not option.ignored:
                self._store(option, _parse_value(option.kind, f"/{name}", text))

    def _unknown(self, name: str) -> str:
        operation = self._operation
        if name.lower() == "json":
            return f"{operation.command} is not a query, it takes no /json"
        names = [option.name for option in operation.options if not option.ignored] + (
            ["json"] if operation.query else []
        )
        meant = _meant(name.lower(), names).replace("did you mean ", "did you mean /")
        return f"{operation.command} has no option {shown('/' + name)}{meant}"

    def _store(self, option: Option, value: Any) -> None:
        taken = self._values.setdefault(option.name, [])
        if len(taken) >= option.repeat and not option.ignored:
            limit = "is given twice" if option.repeat == 1 else f"is given more than {option.repeat} times"
            raise CommandError(f"option /{option.name} {limit}")
        taken.append(value)

    def _take_argument(self, word: str) -> None:
        if not self._free:
            takes_values = any(parameter.kind for parameter in self._operation.parameters)
            hint = " (a blank inside a value is written %20)" if takes_values else ""
            raise CommandError(f"{self._operation.command}: unexpected {shown(word)}{hint}")
        argument = self._free[0] if self._free[0].rest else self._free.pop(0)
        self._store_argument(argument, value_from_text(word))

    def _store_argument(self, argument: Argument, text: str) -> None:
        value = _parse_value(argument.kind, argument.name.upper(), text)
        self._values.setdefault(argument.name, []).append(value)

    def _collected(self) -> dict[str, Any]:
        collected: dict[str, Any] = {}
        for name, values in self._values.items():
            parameter = self._operation.parameter(name)
            is_list = parameter.rest if isinstance(parameter, Argument) else parameter.repeat > 1
            collected[name] = tuple(values) if is_list else values[-1]
        return collected


def _parse_value(kind: Kind, name: str, text: str) -> Any:
    try:
        return kind.parse(text)
    except ValueError as error:
        raise CommandError(f"{name} {shown(text)}: {error}{_meant_value(kind, text)}") from None


def _meant_value(kind: Kind, text: str) -> str:
    if not kind.values:
        return ""
    spellings = {value.lower(): text_from_value(value) for value in kind.values}
    meant = _meant(text.lower(), spellings)
    close = meant.removeprefix(", did you mean ")
    return f", did you mean {spellings[close]}" if meant else ""


def line_from_call(call: Call) -> str:
    """The line that gives this call again, as the log shows it: values encoded, secrets as asterisks."""
    operation = call.operation
    hidden = operation.masked(call.options) if operation.masked else frozenset()
    words = ["mod", "cmd", operation.module] if operation.module not in _BARE else []
    words += [operation.module.lower()] if operation.module in _PREFIXED else []
    words.append(operation.name)
    for argument in operation.arguments:
        values = call.options.get(argument.name, ())
        for value in values if argument.rest else (values,) if values != () else ():
            words.append(MASK if argument.name in hidden else _text_from(value))
    for option in operation.options:
        if option.name in call.options and not option.ignored:
            words += _option_words(option, call, option.secret or option.name in hidden)
    for name, text in call.pairs:
        words.append(f"/{name}")
        if text is not None:
            words.append(MASK if name in hidden else text_from_value(text))
    return " ".join(words)


_PREFIXED = ("CONFIG", "VARS")
"""Modules whose commands have always been words of their own: ``config change`` and ``vars create``."""
_BARE = (TOP_LEVEL, *_PREFIXED)


def _option_words(option: Option, call: Call, hidden: bool) -> list[str]:
    if option.kind is None:
        return [f"/{option.name}"]
    values = call.options[option.name] if option.repeat > 1 else (call.options[option.name],)
    return [word for value in values for word in (f"/{option.name}", MASK if hidden else _text_from(value))]


def _text_from(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else text_from_value(str(value))
