"""What the Tab key offers: the registry, asked what may follow. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from firmware.commands.language import resolve, text_from_value
from firmware.commands.registry import TOP_LEVEL, Operation, Registry
from firmware.errors import CommandError

__all__ = ["Completion", "complete"]


@dataclass(frozen=True, slots=True)
class Completion:
    """What the last, unfinished word of a line can become.

    Attributes:
        word: the unfinished word; empty behind a blank.
        candidates: whole words, sorted.
    """

    word: str
    candidates: tuple[str, ...]

    @property
    def common(self) -> str:
        """What all candidates begin with; the word itself when there is none."""
        if not self.candidates:
            return self.word
        first, last = self.candidates[0], self.candidates[-1]
        size = next(
            (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last))
        )
        return first[:size]


def complete(registry: Registry, text: str) -> Completion:
    """Candidates for the end of ``text``, the line up to the cursor."""
    words = text.split()
    word = words.pop() if words and not text[-1].isspace() else ""
    candidates = {
        candidate for candidate in _following(registry, words, word) if candidate.lower().startswith(word.lower())
    }
    return Completion(word, tuple(sorted(candidates)))


def _following(registry: Registry, words: list[str], word: str) -> list[str]:
    if words[:1] and words[0].lower() == "mod":
        if len(words) == 1:
            return ["cmd"]
        if len(words) == 2:
            return list(registry.modules)
        words = words[2:]
        if len(words) == 1:
            return _names(registry, words[0])
    if not words:
        return _first_words(registry, word)
    if len(words) == 1 and registry.module(words[0]) and registry.find(TOP_LEVEL, words[0].lower()) is None:
        return _names(registry, words[0])
    try:
        parsed = resolve(registry, " ".join(words))
    except CommandError:
        return []
    return _parameters(parsed.operation, parsed.words)


def _first_words(registry: Registry, word: str) -> list[str]:
    first = [operation.name for operation in registry.operations(TOP_LEVEL)]
    modules = [module for module in registry.modules if module != TOP_LEVEL]
    return [*first, "mod", *(module if word[:1].isupper() else module.lower() for module in modules)]


def _names(registry: Registry, word: str) -> list[str]:
    module = registry.module(word)
    return [operation.name for operation in registry.operations(module)] if module else []


def _parameters(operation: Operation, words: tuple[str, ...]) -> list[str]:
    option = operation.option(words[-1][1:].lower()) if words and words[-1].startswith("/") else None
    if option is not None and option.kind is not None:
        return [text_from_value(value) for value in option.kind.values]
    found = list(operation.suggest(words)) if operation.suggest else []
    given = [word[1:].lower() for word in words if word.startswith("/")]
    for candidate in operation.options:
        if not candidate.ignored and given.count(candidate.name) < candidate.repeat:
            found.append(f"/{candidate.name}")
    if operation.query and "json" not in given:
        found.append("/json")
    positional = len(words) - sum(1 for word in words if word.startswith("/"))
    if operation.arguments and positional < len(operation.arguments):
        found += [text_from_value(value) for value in operation.arguments[positional].kind.values]
    return found
