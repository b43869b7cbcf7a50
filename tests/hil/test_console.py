"""The console client: nothing is lost, stale output cannot match, time is virtual, and failures say what is needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hil.bench import Bench
from hil.console import Console
from hil.errors import CommandFailed, DeviceFailure


@pytest.fixture
def console(fake_bench: Bench) -> Console:
    """Of a board that was just switched on."""
    gateway = fake_bench.gateway()
    gateway.power_on()
    return gateway.console


def test_expect_gives_groups_the_text_before_and_the_place(console: Console) -> None:
    match = console.expect(r"by (\S+)-(?P<second>\w+)")
    assert (match.text, match[0], match[1], match["second"]) == ("by power-on", "by power-on", "power", "on")
    assert match.before == "booted "
    assert console.data[match.offset : match.end] == b"by power-on"


def test_a_pattern_of_bytes_is_literal(console: Console) -> None:
    console.login()
    console.send_line("say a+b")
    assert console.expect(b"a+b").text == "a+b"
    with pytest.raises(DeviceFailure):
        console.expect(b"a.b", timeout_ms=10)


def test_output_that_was_expected_before_cannot_match_again(console: Console) -> None:
    console.expect("login: ")
    with pytest.raises(DeviceFailure, match="login"):
        console.expect("login: ", timeout_ms=100)


def test_since_a_mark_older_output_matches_again_and_output_before_the_mark_does_not(console: Console) -> None:
    console.expect("login: ")
    assert console.expect("booted", since=0).offset == 0
    mark = console.mark()
    with pytest.raises(DeviceFailure):
        console.expect("booted", since=mark, timeout_ms=100)


def test_looking_back_does_not_bring_stale_output_into_the_next_expect(console: Console) -> None:
    console.expect("login: ")
    position = console.position
    console.expect("booted", since=0)
    assert console.position == position


def test_output_that_came_while_nobody_waited_is_kept(console: Console, fake_bench: Bench) -> None:
    fake_bench.run_for(ms=100)
    assert console.expect("booted by power-on").offset == 0


def test_expect_stops_at_the_event_that_completes_the_pattern(console: Console, fake_bench: Bench) -> None:
    match = console.expect("booted", timeout_ms=60_000)
    # The banner's 27 bytes at 115200 baud: the event is the end of what was written in one go.
    assert match.time_ns == fake_bench.now_ns == 27 * 10 * 1_000_000_000 // 115_200


def test_a_timeout_is_in_virtual_time_and_exact(console: Console, fake_bench: Bench) -> None:
    console.expect("login: ")
    before_ns = fake_bench.now_ns
    with pytest.raises(DeviceFailure):
        console.expect("never", timeout_ms=3_600_000)
    assert fake_bench.now_ns - before_ns == 3_600_000 * 1_000_000


def test_a_failure_names_pattern_last_bytes_virtual_time_seed_and_the_command_that_repeats_it(console: Console) -> None:
    with pytest.raises(DeviceFailure) as caught:
        console.expect("gin:x", timeout_ms=50)
    text = str(caught.value)
    assert "'gin:x' within 50 ms" in text
    assert r"'booted by power-on\r\n'" in text
    assert "'login: '" in text
    assert "virtual time: 0.050000000 s" in text
    assert "seed: 7" in text
    assert "repeat: Bench(seed=7)" in text
    assert "power" in text.split("last events")[1]


def test_a_failure_quotes_no_more_than_the_last_screenful(console: Console) -> None:
    console.login()
    console.run("say " + "x" * 900)
    with pytest.raises(DeviceFailure) as caught:
        console.expect("never", since=0, timeout_ms=1)
    assert len(caught.value.last_bytes) == 400


def test_every_byte_has_its_time(console: Console) -> None:
    console.login()
    console.send_line("wait 500")
    done = console.expect("done", timeout_ms=1_000)
    echo = console.expect("wait 500", since=0)
    assert 500 <= (console.time_ns_at(done.offset) - console.time_ns_at(echo.end - 1)) / 1e6 < 503
    assert console.wall_ns_at(0) is None


def test_login_with_the_factory_password_gives_the_prompt(console: Console) -> None:
    console.login()
    assert console.text.endswith("IP800-06-11-ac> ")
    assert "ip800" not in console.since(console.text.index("password"))


def test_login_twice_is_once(console: Console) -> None:
    console.login()
    said = console.mark()
    console.login()
    assert console.mark() == said


def test_login_works_after_somebody_else_expected_the_login_prompt(console: Console) -> None:
    console.expect("login: ")
    console.login()


def test_a_refused_login_fails_with_what_the_board_said(console: Console) -> None:
    with pytest.raises(DeviceFailure, match="login incorrect"):
        console.login(password="wrong")


def test_run_gives_the_lines_between_echo_and_prompt(console: Console) -> None:
    console.login()
    reply = console.run("say one two")
    assert (reply.text, reply.lines, reply.error) == ("one two", ["one two"], None)
    assert console.run("").text == ""


def test_a_reply_gives_its_json_and_the_time_it_took(console: Console) -> None:
    console.login()
    assert console.run("json").json == {"n": 7}
    assert 250 <= console.run("wait 250").duration_ms < 255


def test_a_command_that_fails_raises_unless_told_otherwise(console: Console) -> None:
    console.login()
    with pytest.raises(CommandFailed, match="no such thing") as caught:
        console.run("fail no such thing")
    assert caught.value.error == "no such thing"
    assert console.run("fail again", check=False).error == "again"


def test_a_reply_is_not_disturbed_by_a_prompt_that_is_drawn_anew(console: Console, fake_bench: Bench) -> None:
    console.login()
    mark = console.mark()
    fake_bench.gateways[0].board.uart.write(b"\r\x1b[Jsome news\r\nIP800-06-11-ac> ")
    assert console.run("say quiet").text == "quiet"
    assert "some news" in console.since(mark)


def test_two_commands_in_a_row_get_their_own_replies(console: Console) -> None:
    console.login()
    assert [console.run(f"say {n}").text for n in range(5)] == ["0", "1", "2", "3", "4"]


def test_paste_sends_every_line_and_the_dot(console: Console) -> None:
    console.login()
    assert console.paste("pem", "-----BEGIN X-----\nAAAA\n-----END X-----\n").text.endswith("3 lines")


def test_paste_into_a_command_that_refuses_sends_nothing(console: Console) -> None:
    console.login()
    with pytest.raises(CommandFailed, match="not now"):
        console.paste("fail not now", "AAAA\nBBBB\n")
    assert "AAAA" not in console.text


def test_interrupt_brings_the_prompt_back(console: Console) -> None:
    console.login()
    console.send_line("wait 100000")
    console.interrupt(timeout_ms=50)
    assert console.run("say here").text == "here"


def test_a_forbidden_pattern_fails_the_expect_that_would_have_succeeded(console: Console) -> None:
    console.login()
    console.forbid("pan.c")
    console.send_line("say panic now")
    with pytest.raises(DeviceFailure, match=r"no 'pan\.c'"):
        console.expect("never-there", timeout_ms=1_000)


def test_a_forbidden_pattern_fails_the_next_wait_of_the_bench_too(console: Console, fake_bench: Bench) -> None:
    console.login()
    console.forbid(b"panic")
    console.send_line("say panic")
    with pytest.raises(DeviceFailure):
        fake_bench.run_for(ms=100)
    fake_bench.run_for(ms=1)


def test_what_was_said_before_it_was_forbidden_is_forgiven_and_allow_takes_it_back(console: Console) -> None:
    console.login()
    console.forbid("login")
    console.run("say fine")
    console.allow("login")
    assert console.run("say login").text == "login"


def test_the_log_file_has_every_line_with_its_virtual_time(console: Console, tmp_path: Path) -> None:
    console.log_to(tmp_path / "console.log")
    console.login()
    console.run("say hello")
    console.close()
    text = (tmp_path / "console.log").read_text()
    assert re.search(r"^\[ +0\.0\d+\] booted by power-on$", text, re.MULTILINE)
    assert re.search(r"^\[ +0\.0\d+\] hello$", text, re.MULTILINE)
    assert text.endswith("] IP800-06-11-ac> \n")
    assert text == console.transcript()


def test_a_power_cycle_makes_the_old_banner_stale(console: Console, fake_bench: Bench) -> None:
    gateway = fake_bench.gateways[0]
    console.expect("login: ")
    gateway.power_cycle()
    assert console.expect("booted by").offset > 0


def test_a_prompt_from_before_a_reset_does_not_pass_for_being_logged_in(console: Console, fake_bench: Bench) -> None:
    gateway = fake_bench.gateways[0]
    console.login()
    gateway.power_off()
    gateway.power_on()
    console.login()
    assert console.run("say again").text == "again"
    assert console.text.count("password: ") == 2
