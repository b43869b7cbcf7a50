"""HTML and XML from Python values: every text is escaped on its way in, so a name in a certificate cannot be markup."""

from __future__ import annotations

from html import escape

__all__ = ["Content", "Markup", "document", "element", "join", "xml_element"]

VOID = frozenset(("br", "hr", "img", "input", "link", "meta", "wbr"))
"""Elements without content or end tag, HTML standard 13.1.2."""


class Markup(str):
    """Text that is markup already. Only this module makes it."""

    __slots__ = ()


Content = str | int | None
"""What an element may hold: markup, or anything else, which is escaped. None is nothing."""


def element(name: str, /, *content: Content, **attributes: Content | bool) -> Markup:
    """An HTML element. ``class_`` stands for class, underscores for hyphens; False and None leave an attribute out."""
    start = f"<{name}{_attributes(attributes)}>"
    return Markup(start) if name in VOID else Markup(f"{start}{join(*content)}</{name}>")


def xml_element(name: str, /, *content: Content, **attributes: Content | bool) -> Markup:
    """An XML element, closed in itself when it is empty."""
    inner = join(*content)
    return Markup(f"<{name}{_attributes(attributes)}" + (f">{inner}</{name}>" if inner else "/>"))


def join(*content: Content) -> Markup:
    """Pieces of content, one behind the other."""
    return Markup("".join(_escaped(piece) for piece in content))


def document(head: Markup, body: Markup) -> str:
    """A whole HTML page in English."""
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _attributes(attributes: dict[str, Content | bool]) -> str:
    pairs = []
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        key = name.rstrip("_").replace("_", "-")
        pairs.append(f" {key}" if value is True else f' {key}="{_printable(str(value))}"')
    return "".join(pairs)


def _escaped(piece: Content) -> str:
    if piece is None:
        return ""
    return piece if isinstance(piece, Markup) else _printable(str(piece))


def _printable(text: str) -> str:
    """Escaped, and without the control characters and lone surrogates that no page can hold."""
    clean = "".join(
        "\N{REPLACEMENT CHARACTER}"
        if (ord(character) < 32 and character not in "\t\n") or _unencodable(character)
        else character
        for character in text
    )
    return escape(clean, quote=True)


def _unencodable(character: str) -> bool:
    return 0xD800 <= ord(character) <= 0xDFFF or 0x7F <= ord(character) < 0xA0 or ord(character) in BIDI


BIDI = frozenset((*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F))
"""Characters that turn the direction of the text around: in a name they only serve to deceive (Unicode TR 36, 2.5)."""
