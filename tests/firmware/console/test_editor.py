"""The line editor, judged by what a terminal's screen shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.commands import Completion
from firmware.console.editor import HISTORY_LIMIT, LINE_LIMIT, EndOfInput, Interrupted, Line, LineEditor

PROMPT = "IP800-06-11-ac> "
UP, DOWN, RIGHT, LEFT = b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D"
WORDS = ("trust-add", "trust-list", "servercert-show", "Signing%20request")


def complete(text: str) -> Completion:
    word = text.rpartition(" ")[2]
    return Completion(word, tuple(sorted(each for each in WORDS if each.lower().startswith(word.lower()))))


class Desk:
    """An editor with a terminal."""

    def __init__(self, terminal: Any) -> None:
        self.terminal = terminal
        self.editor = LineEditor(complete, is_private=lambda text: "password" in text)
        self.events: list[object] = []
        self.raw = bytearray()
        self.show(self.editor.begin(PROMPT))

    def show(self, data: bytes) -> None:
        self.raw += data
        self.terminal.feed(data)

    def type(self, *keys: bytes) -> None:
        for data in keys:
            self.editor.push(data)
            while True:
                out, event = self.editor.next()
                self.show(out)
                if event is None:
                    break
                self.events.append(event)
                self.show(self.editor.begin(PROMPT))

    @property
    def lines(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Line)]


@pytest.fixture
def desk(make_terminal: Callable[..., Any]) -> Desk:
    return Desk(make_terminal())


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ([b"hello"], "hello"),
        ([b"hallo", LEFT * 4, b"\x1b[3~", b"e", b"\x05", b"!"], "hello!"),
        ([b"hello\x08\x7fp"], "help"),
        ([b"world", b"\x1b[H", b"hello "], "hello world"),
        ([b"world", b"\x1bOH", b"hello ", b"\x1b[F", b"!"], "hello world!"),
        ([b"b", b"\x01", b"a", b"\x05", b"c"], "abc"),
        ([b"ac", LEFT, b"b", RIGHT, RIGHT, b"d"], "abcd"),
        ([b"one two", LEFT * 3, b"\x0b"], "one "),
        ([b"one two", LEFT * 3, b"\x15"], "two"),
        ([b"one two  \x17"], "one "),
        ([b"one\x17\x17\x08"], ""),
        ([b"abc", LEFT, b"\x04"], "ab"),
        ([b"M\xc3", b"\xbcller"], "Müller"),
        ([b"a\xff\xc3b"], "ab"),
        ([b"a", b"\x1b[15~", b"\x1b[1;5C", b"\x1bOP", b"\x1b[[A", b"\x1bx", b"\x1b[200~", b"b"], "ab"),
        ([b"a\x00\x06\x02b"], "ba"),
        ([b"a\x1b", b"[", b"D", b"b"], "ba"),
    ],
)
def test_keys_make_the_line_and_the_screen_agrees(desk: Desk, keys: list[bytes], line: str) -> None:
    desk.type(*keys)
    assert desk.editor.text == line
    assert desk.terminal.screen == [(PROMPT + line).rstrip()]
    desk.type(b"\r")
    assert desk.lines == [line]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"a\rb\r", ["a", "b"]),
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\r\x00b\r\x00", ["a", "b"]),
        (b"a\r\rb\n\n", ["a", "", "b", ""]),
        (b"a\r\n\r\nb", ["a", ""]),
    ],
)
@pytest.mark.parametrize("chunk", [1, 99])
def test_each_line_end_ends_one_line_however_it_arrives(desk: Desk, data: bytes, lines: list[str], chunk: int) -> None:
    desk.type(*(data[i : i + chunk] for i in range(0, len(data), chunk)))
    assert desk.lines == lines


def test_what_is_typed_at_the_end_is_echoed_byte_for_byte_over_several_rows(desk: Desk) -> None:
    line = b"x509 servercert-create " + b"/san-dns abc.example " * 9
    desk.raw.clear()
    desk.type(line + b"\r")
    assert bytes(desk.raw).startswith(line + b"\r\n")


TYPED = (b"a", b"bc def", b"x" * 37, b"\xc3\xa9", b"\t", b"tr\t\t", b"\r", b"\x03")
MOVED = (LEFT, LEFT * 30, RIGHT, b"\x01", b"\x05", UP, DOWN)
REMOVED = (b"\x7f", b"\x1b[3~", b"\x0b", b"\x15", b"\x17")
KEYS = st.sampled_from((*TYPED, *MOVED, *REMOVED))


@settings(max_examples=150, deadline=None)
@given(keys=st.lists(KEYS, max_size=30), columns=st.sampled_from([20, 37, 80]))
def test_after_any_keys_the_screen_shows_the_line_and_the_cursor(
    make_terminal: Callable[..., Any], keys: list[bytes], columns: int
) -> None:
    desk = Desk(make_terminal(columns))
    desk.editor.columns = columns
    desk.type(*keys)
    for last in (b"", b"\x01#", b"\x05!"):
        desk.type(last)
        rows = rows_of(PROMPT + desk.editor.text, columns)
        assert desk.terminal.screen[-len(rows) :] == rows
    assert desk.editor.text.startswith("#")
    assert desk.editor.text.endswith("!")


EDITS = (
    *(b"\x7f", b"\x01", b"\x1b[3~", b"\x1b[3~", RIGHT, b"\x7f", b"z", b"\x1b[3~", b"\x05", b"\x01", b"\x0b"),
    *(b"ab", LEFT, b"c", b"\x1b[3~", UP, LEFT, b"\x05", b"d", b"\x17", UP, DOWN, b"\x15"),
)


@pytest.mark.parametrize("length", range(1, 46))
def test_edits_at_every_place_of_a_row_leave_a_right_screen(make_terminal: Callable[..., Any], length: int) -> None:
    columns = 20
    desk = Desk(make_terminal(columns))
    desk.editor.columns = columns
    desk.type(b"x" * length + b"\r", b"y" * length)
    for edit in EDITS:
        desk.type(edit)
        rows = rows_of(PROMPT + desk.editor.text, columns)
        assert desk.terminal.screen[-len(rows) :] == rows, edit
        above = rows_of(PROMPT + "x" * length, columns)
        assert desk.terminal.screen[: len(above)] == above, edit
        assert len(desk.terminal.screen) == len(above) + len(rows), edit


def rows_of(text: str, columns: int) -> list[str]:
    return [text[i : i + columns].rstrip() for i in range(0, len(text.rstrip()), columns)]


def test_a_message_in_between_leaves_the_line_as_it_was(desk: Desk) -> None:
    desk.type(b"x509 trust-list " + b"y" * 100, LEFT * 40)
    desk.show(desk.editor.hide() + b"card inserted\r\n" + desk.editor.show())
    desk.type(b"Z")
    line = "x509 trust-list " + "y" * 60 + "Z" + "y" * 40
    assert desk.editor.text == line
    assert "".join(desk.terminal.screen) == "card inserted" + PROMPT + line


def test_a_message_behind_a_row_that_is_just_full_does_not_eat_the_row_above(desk: Desk) -> None:
    desk.type(b"\r", b"z" * (80 - len(PROMPT)))
    desk.show(desk.editor.hide() + b"card removed\r\n" + desk.editor.show())
    assert desk.terminal.screen == [PROMPT.rstrip(), "card removed", PROMPT + "z" * (80 - len(PROMPT))]


def test_history_goes_up_and_down_and_keeps_the_draft(desk: Desk) -> None:
    desk.type(b"one\r", b"two\r", b"two\r", b"\r", b"dra")
    desk.type(UP)
    assert desk.editor.text == "two"
    desk.type(UP, UP)
    assert (desk.editor.text, desk.terminal.bells) == ("one", 1)
    desk.type(DOWN, DOWN)
    assert desk.editor.text == "dra"
    assert desk.terminal.screen[-1] == PROMPT + "dra"


def test_history_is_bounded_and_keeps_no_password(desk: Desk) -> None:
    for number in range(HISTORY_LIMIT + 5):
        desk.type(b"line %d\r" % number)
    desk.type(b"config change CMD /password hunter2\r")
    desk.type(UP)
    assert desk.editor.text == f"line {HISTORY_LIMIT + 4}"
    desk.type(UP * (HISTORY_LIMIT + 10))
    assert desk.editor.text == "line 5"


def test_a_hidden_line_shows_nothing_and_stays_out_of_history(desk: Desk) -> None:
    desk.show(b"\r\n" + desk.editor.begin("password: ", echo=False))
    desk.type(b"ip80O", b"\x7f0", LEFT, UP, b"\t", b"\r")
    assert desk.lines == ["ip800"]
    desk.type(UP)
    assert desk.editor.text == ""
    assert not any("ip80" in row for row in desk.terminal.screen)


def test_ctrl_c_abandons_and_ctrl_d_ends_only_an_empty_line(desk: Desk) -> None:
    desk.type(b"abc\x03", b"x\x04", b"\x7f\x04")
    assert desk.events == [Interrupted(), EndOfInput()]


def test_ctrl_l_clears_the_screen(desk: Desk) -> None:
    desk.type(b"one\r", b"abc", LEFT, b"\x0c", b"X")
    assert desk.terminal.screen == [PROMPT + "abXc"]


def test_tab_completes_what_is_certain_and_lists_on_the_second_time(desk: Desk) -> None:
    desk.type(b"x509 ser\t")
    assert desk.editor.text == "x509 servercert-show "
    desk.type(b"\x15x509 TR\t")
    assert desk.editor.text == "x509 trust-"
    assert desk.terminal.screen == [PROMPT + "x509 trust-"]
    desk.type(b"\t")
    assert desk.terminal.screen[-2:] == ["trust-add   trust-list", PROMPT + "x509 trust-"]
    desk.type(b"\x15nothing\t\t")
    assert (desk.editor.text, desk.terminal.bells) == ("nothing", 2)


def test_a_line_has_a_limit_and_rings_there(desk: Desk) -> None:
    desk.type(b"x" * (LINE_LIMIT + 3), b"\r")
    assert (len(desk.lines[0]), desk.terminal.bells) == (LINE_LIMIT, 3)


def test_after_lost_bytes_the_rest_of_the_line_is_dropped(desk: Desk) -> None:
    desk.type(b"x509 trust-")
    desk.editor.skip_line()
    desk.type(b"lear\r", b"help\r")
    assert desk.lines == ["help"]


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=200))
def test_no_bytes_whatever_break_the_editor(make_terminal: Callable[..., Any], data: bytes) -> None:
    desk = Desk(make_terminal())
    desk.editor.push(data)
    while desk.editor.pending:
        desk.editor.next()
        desk.editor.begin(PROMPT)
    desk.editor.forget()
    desk.type(b"help\r")
    assert desk.lines == ["help"]
