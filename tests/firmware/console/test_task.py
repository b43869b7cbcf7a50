"""The console's task on a real kernel: what a person or a program at the far end of the line sees."""

from __future__ import annotations

import json
from typing import Any

import pytest

PROMPT = "IP800-06-11-ac> "


def test_the_banner_and_the_login_prompt_come_at_power_on(line_bench: Any) -> None:
    assert line_bench.output() == "IP800 boot\r\nlogin: "


def test_login_asks_for_both_and_shows_no_password(line_bench: Any) -> None:
    line_bench.output()
    assert line_bench.type("admin\r") == "admin\r\npassword: "
    assert line_bench.type("ip800\r") == "\r\n" + PROMPT


@pytest.mark.parametrize(("user", "password"), [("admin", "wrong"), ("root", "ip800"), ("admin", "")])
def test_a_wrong_login_is_refused_in_one_line_that_does_not_say_what_was_wrong(
    line_bench: Any, user: str, password: str
) -> None:
    line_bench.output()
    line_bench.type(f"{user}\r")
    assert line_bench.type(f"{password}\r") == "\r\nerror: wrong user or password\r\nlogin: "


def test_many_wrong_passwords_lock_everybody_out_for_a_while(line_bench: Any) -> None:
    for _ in range(3):
        line_bench.output()
        line_bench.type("admin\r")
        answer = line_bench.type("nonsense\r")
    assert answer == "\r\nerror: wrong user or password, wait 1 s\r\n"
    assert line_bench.type("admin\r", ms=500) == ""
    line_bench.uart.flags.add("break")
    assert "login" not in line_bench.type("", ms=100)
    assert line_bench.type("", ms=600).endswith("login: ")
    line_bench.login()


def test_a_right_password_forgets_the_wrong_ones(line_bench: Any) -> None:
    for password in ("one", "two", "ip800", "three", "four"):
        line_bench.type("admin\r")
        answer = line_bench.type(f"{password}\r")
        if password == "ip800":
            line_bench.type("exit\r")
        else:
            assert answer.endswith("error: wrong user or password\r\nlogin: ")


def test_a_command_is_answered_and_the_prompt_comes_back(line_bench: Any) -> None:
    line_bench.login()
    assert line_bench.type("test show\r") == f"test show\r\nfirst\r\nsecond\r\n{PROMPT}"


def test_json_is_one_line(line_bench: Any) -> None:
    line_bench.login()
    lines = line_bench.type("test show /text a%20b /json\r").split("\r\n")
    assert json.loads(lines[1]) == {"text": "a b", "n": 1}
    assert lines[2:] == [PROMPT]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("tset show", "error: unknown command 'tset', did you mean test"),
        ("test refuse", "error: no card"),
        ("test show /key 1", "error: /key '1': must be one of 1024-bit, 2048-bit"),
    ],
)
def test_what_fails_says_so_in_one_line(line_bench: Any, line: str, text: str) -> None:
    line_bench.login()
    assert line_bench.type(f"{line}\r") == f"{line}\r\n{text}\r\n{PROMPT}"


def test_blank_lines_only_bring_the_prompt_again(line_bench: Any) -> None:
    line_bench.login()
    assert line_bench.type("\r\n  \r") == f"\r\n{PROMPT}  \r\n{PROMPT}"


@pytest.mark.parametrize("line", ["exit\r", "logout\r", "\x04"])
def test_the_session_can_be_ended(line_bench: Any, line: str) -> None:
    line_bench.login()
    assert line_bench.type(line).endswith("\r\nlogin: ")
    assert "password: " in line_bench.type("help\r")


def test_an_idle_session_ends_by_itself_and_a_busy_one_does_not(line_bench: Any) -> None:
    line_bench.console.idle_minutes = 2
    line_bench.login()
    for _ in range(3):
        assert line_bench.type("x", ms=100_000) == "x"
    assert line_bench.type("", ms=100_000) == "\r\nlogged out after 2 minutes\r\nlogin: "


def test_with_zero_minutes_a_session_never_ends(line_bench: Any) -> None:
    line_bench.console.idle_minutes = 0
    line_bench.login()
    assert line_bench.type("", ms=30 * 86_400_000) == ""
    assert line_bench.type("test show\r").endswith(PROMPT)


def test_a_running_command_is_no_idle_session(line_bench: Any) -> None:
    line_bench.console.idle_minutes = 1
    line_bench.login()
    line_bench.type("test wait\r")
    assert line_bench.type("", ms=59_990) == f"waited\r\n{PROMPT}"


def test_ctrl_c_interrupts_a_running_command(line_bench: Any) -> None:
    line_bench.login()
    assert line_bench.type("test wait\r", ms=100) == "test wait\r\nwaiting\r\n"
    assert line_bench.type("\x03") == f"^C\r\nerror: interrupted\r\n{PROMPT}"
    assert line_bench.ended == ["wait"]
    assert line_bench.type("test show\r").endswith(f"second\r\n{PROMPT}")


def test_a_command_past_its_point_of_no_return_says_what_came_of_it(line_bench: Any) -> None:
    line_bench.login()
    line_bench.type("test store\r", ms=100)
    assert line_bench.type("\x03", ms=1_000) == "^C\r\n"
    assert line_bench.type("", ms=1_100) == f"stored\r\n{PROMPT}"


def test_a_second_ctrl_c_does_not_wait_for_it(line_bench: Any) -> None:
    line_bench.login()
    line_bench.type("test store\r", ms=100)
    line_bench.type("\x03", ms=1_000)
    assert line_bench.type("\x03") == f"^C\r\nerror: interrupted\r\n{PROMPT}"


def test_what_an_interrupted_command_says_at_its_end_is_printed(line_bench: Any) -> None:
    line_bench.login()
    line_bench.type("test lament\r", ms=100)
    assert line_bench.type("\x03") == f"^C\r\nnot yet\r\nerror: interrupted\r\n{PROMPT}"


def test_the_last_words_of_a_command_that_nobody_waited_for_are_not_the_next_ones(line_bench: Any) -> None:
    line_bench.login()
    line_bench.type("test store\r", ms=100)
    line_bench.type("\x03", ms=1_000)
    line_bench.type("\x03")
    assert line_bench.type("test wait\r", ms=100) == "test wait\r\nwaiting\r\n"


def test_ctrl_c_before_a_commands_first_turn_does_not_hang(line_bench: Any) -> None:
    line_bench.login()
    line_bench.type("test wait\r", ms=0)
    spawn = line_bench.kernel.spawn

    def typed_meanwhile(coro: Any, name: str, **how: Any) -> Any:
        task = spawn(coro, name=name, **how)
        line_bench.uart.arrived += b"\x03"
        return task

    line_bench.type("\x03")
    line_bench.kernel.spawn = typed_meanwhile
    assert line_bench.type("test wait\r") == f"test wait\r\n^C\r\nerror: interrupted\r\n{PROMPT}"


def test_what_is_typed_ahead_is_read_when_the_command_has_ended(line_bench: Any) -> None:
    line_bench.login()
    line_bench.type("test wait\r", ms=100)
    assert line_bench.type("test show\rtest ", ms=100) == ""
    assert line_bench.type("", ms=60_000) == f"waited\r\n{PROMPT}test show\r\nfirst\r\nsecond\r\n{PROMPT}test "


def test_type_ahead_is_bounded_and_rings(line_bench: Any) -> None:
    line_bench.login()
    line_bench.type("test wait\r", ms=100)
    assert line_bench.type("x" * 4096) == ""
    assert line_bench.type("y" * 10) == "\a"
    assert line_bench.type("\x03").endswith(f"^C\r\nerror: interrupted\r\n{PROMPT}")


def test_pasted_text_reaches_the_command_unseen(line_bench: Any) -> None:
    line_bench.login()
    answer = line_bench.type("test upload\r")
    assert answer == "test upload\r\npaste PEM, end with a line that holds only a dot\r\n"
    assert line_bench.type("line one\r\nhelp\r\n") == ""
    assert line_bench.type(".\r\n") == f"14 characters\r\n{PROMPT}"
    assert line_bench.pasted == ["line one\nhelp\n"]


def test_a_scripted_paste_may_follow_its_command_at_once(line_bench: Any) -> None:
    line_bench.login()
    answer = line_bench.type("test upload\rone\r.\rtest show\r")
    assert line_bench.pasted == ["one\n"]
    assert answer.endswith(f"4 characters\r\n{PROMPT}test show\r\nfirst\r\nsecond\r\n{PROMPT}")


def test_ctrl_c_abandons_a_paste_and_what_was_pasted(line_bench: Any) -> None:
    line_bench.login()
    line_bench.type("test upload\r")
    assert line_bench.type("secret\rhelp\r\x03") == f"^C\r\nerror: interrupted\r\n{PROMPT}"
    assert line_bench.pasted == []
    assert line_bench.type("test show\r").startswith("test show\r\nfirst")


def test_an_overrun_while_pasting_changes_nothing(line_bench: Any) -> None:
    line_bench.login()
    line_bench.type("test upload\r")
    line_bench.uart.flags.add("overrun")
    line_bench.type("one\r")
    assert line_bench.type(".\r").startswith("error: bytes were lost on the line while pasting, nothing changed")
    assert line_bench.pasted == []


def test_a_paste_that_nobody_ends_is_given_up(line_bench: Any) -> None:
    line_bench.console.idle_minutes = 1
    line_bench.login()
    line_bench.type("test upload\r")
    line_bench.type("half\r", ms=59_000)
    assert line_bench.type("", ms=2_000) == f"^C\r\nerror: interrupted\r\n{PROMPT}"


def test_an_overrun_drops_the_line_instead_of_running_half_of_it(line_bench: Any) -> None:
    line_bench.login()
    line_bench.uart.flags.add("overrun")
    answer = line_bench.type("test sh")
    assert "error: input came too fast, line dropped\r\n" in answer
    assert line_bench.type("ow\r") == ""
    assert line_bench.type("test show\r") == f"test show\r\nfirst\r\nsecond\r\n{PROMPT}"


@pytest.mark.parametrize("before", ["", "half a line", "test wait\r", "test upload\rsecret\r"])
def test_a_break_means_somebody_else_and_a_fresh_login(line_bench: Any, before: str) -> None:
    line_bench.login()
    line_bench.type(before)
    line_bench.uart.flags.add("break")
    assert line_bench.type("") == "\r\nlogin: "
    assert line_bench.ended == (["wait"] if "wait" in before else [])
    line_bench.login()


def test_a_message_appears_above_the_line_being_edited(line_bench: Any, make_terminal: Any) -> None:
    line_bench.login()
    terminal = make_terminal()
    terminal.feed(f"{PROMPT}{line_bench.type('test sh')}".encode())
    line_bench.console.announce("card inserted")
    terminal.feed(line_bench.type("").encode())
    terminal.feed(line_bench.type("ow\r").encode())
    assert terminal.screen == ["card inserted", f"{PROMPT}test show", "first", "second", PROMPT.rstrip()]


def test_a_message_during_the_password_leaves_it_whole(line_bench: Any) -> None:
    line_bench.output()
    line_bench.type("admin\rip8")
    line_bench.console.announce("card inserted")
    assert line_bench.type("").endswith("card inserted\r\npassword: ")
    assert line_bench.type("00\r").endswith(PROMPT)


def test_too_many_messages_are_counted_instead_of_kept(line_bench: Any) -> None:
    line_bench.login()
    for number in range(70):
        line_bench.console.announce(f"message {number}")
    answer = line_bench.type("")
    assert "message 63\r\n6 more lines, see log\r\n" in answer
    assert "message 64" not in answer


def test_no_message_comes_into_a_reply_nor_between_it_and_its_prompt(line_bench: Any) -> None:
    line_bench.login()
    line_bench.type("test wait\r", ms=100)
    line_bench.console.announce("early")
    assert line_bench.type("", ms=100) == ""
    answer = line_bench.type("", ms=60_000)
    assert answer == f"waited\r\n{PROMPT}\r\x1b[Jearly\r\n{PROMPT}"


def test_output_waits_for_room_and_is_whole(line_bench: Any) -> None:
    line_bench.login()
    line_bench.uart.room_bytes = 100
    answer = line_bench.type("test flood\r")
    assert answer.count("\r\n") == 10_001
    assert answer.endswith(f"line 009999\r\n{PROMPT}")


def test_ctrl_c_ends_long_output(line_bench: Any) -> None:
    line_bench.login()
    line_bench.uart.arrived += b"test flood\r"
    line_bench.uart.interrupt()
    line_bench.settle(1)
    line_bench.uart.arrived += b"\x03"
    answer = line_bench.output()
    assert answer.count("\r\n") < 1_000
    assert answer.endswith(f"^C\r\n{PROMPT}")


def test_a_fault_in_a_command_is_reported_and_the_console_goes_on(line_bench: Any) -> None:
    line_bench.login()
    assert line_bench.type("test crash\r") == f"test crash\r\nerror: internal fault (KeyError), see log\r\n{PROMPT}"
    assert line_bench.audit[-1] == "CMD fault: task command: KeyError: 'bug'"
    assert line_bench.faults == []
    assert line_bench.type("test show\r").endswith(f"second\r\n{PROMPT}")


def test_a_new_password_counts_once_it_is_active_and_stays_out_of_log_and_history(line_bench: Any) -> None:
    line_bench.login()
    line_bench.type("config change CMD /password geheim\r")
    line_bench.type("config activate\r")
    assert line_bench.audit[0] == "CMD admin@ config change CMD /password ********"
    assert line_bench.type("\x1b[A\x1b[A").count("geheim") == 0
    line_bench.type("\x03exit\radmin\r")
    assert "wrong user or password" in line_bench.type("ip800\r")
    line_bench.type("admin\r")
    assert line_bench.type("geheim\r").endswith(PROMPT)


def test_a_user_does_not_find_the_one_befores_lines(line_bench: Any) -> None:
    line_bench.login()
    line_bench.type("test show /text mine\rexit\r")
    line_bench.login()
    assert line_bench.type("\x1b[A") == "\a"


@pytest.mark.parametrize("ending", ["exit\r", "\x04", "idle", "break"])
def test_whoever_is_not_logged_in_finds_no_lines(line_bench: Any, ending: str) -> None:
    line_bench.console.idle_minutes = 1
    line_bench.login()
    line_bench.type("test show /text mine\r")
    if ending == "break":
        line_bench.uart.flags.add("break")
    line_bench.type("" if len(ending) > 3 and ending.isalpha() else ending, ms=61_000)
    assert line_bench.type("\x1b[A\x1b[A\x10") == ""
    assert line_bench.type("\r") == "\r\nlogin: "


def test_whoever_is_not_logged_in_gets_no_completion(line_bench: Any) -> None:
    line_bench.output()
    assert line_bench.type("\t\t") == "\a\a"
    assert line_bench.type("te\t\t") == "te\a\a"
    line_bench.type("\r")
    assert line_bench.type("\t\t") == "\a\a"


def test_what_was_typed_at_the_login_prompt_is_no_history(line_bench: Any) -> None:
    line_bench.type("my-password\r\x03")
    line_bench.login()
    assert line_bench.type("\x1b[A") == "\a"
    line_bench.type("exit\r")
    assert line_bench.type("\x1b[A") == ""


def test_commands_and_input_are_charged(line_bench: Any) -> None:
    line_bench.login()
    before = dict(line_bench.kernel.cycles)
    line_bench.type("test show\r")
    assert line_bench.kernel.cycles["command"] - before.get("command", 0) == 20_000 + 50 * len("test show")
    assert line_bench.kernel.cycles["parse"] - before["parse"] == 50 * len("test show\r")


def test_an_idle_console_never_wakes_the_board(line_bench: Any) -> None:
    line_bench.output()
    assert line_bench.kernel.run() is None
