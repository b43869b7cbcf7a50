"""Login: passwords, lock-out, and the table of states."""

from __future__ import annotations

import pytest

from firmware.console.login import (
    FOLLOWING,
    Accounts,
    Lockout,
    LoginEvent,
    LoginState,
    following,
    password_record,
    verify_password,
)
from firmware.errors import ConfigError

SALT = bytes(range(16))


def test_a_record_opens_to_its_password_alone_and_does_not_hold_it() -> None:
    record = password_record("geheim", SALT)
    assert verify_password(record, "geheim")
    assert not verify_password(record, "Geheim")
    assert not verify_password(record, "")
    assert "geheim" not in record
    assert record != password_record("geheim", SALT[::-1])


@pytest.mark.parametrize("record", ["", "plain", "md5$1$00$00", "pbkdf2-sha256$x$00$00", "pbkdf2-sha256$0$00$00"])
def test_a_damaged_record_opens_to_nobody(record: str) -> None:
    assert not verify_password(record, "geheim")


@pytest.mark.parametrize(
    ("password", "text"), [("", "has 0"), ("x" * 16, "1 to 15 characters, has 16"), ("a\tb", "control")]
)
def test_a_password_has_rules(password: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        password_record(password, SALT)
    assert caught.value.field == "password"


def test_the_factory_password_is_the_models_name_until_another_is_set() -> None:
    records: list[str] = []
    accounts = Accounts("ip800", lambda: records[0] if records else None)
    assert accounts.is_factory
    assert accounts.verify("admin", "ip800")
    assert not accounts.verify("root", "ip800")
    assert not accounts.verify("admin", "IP800")
    records.append(password_record("new", SALT))
    assert accounts.verify("admin", "new")
    assert not accounts.verify("admin", "ip800")


def test_the_delay_grows_with_wrong_passwords_and_a_right_one_ends_it() -> None:
    now_ns = 0
    lockout = Lockout(lambda: now_ns)
    delays = []
    for _ in range(10):
        lockout.fail()
        delays.append(lockout.delay_ms)
        now_ns += lockout.delay_ms * 1_000_000
        assert lockout.delay_ms == 0
    assert delays == [0, 0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]
    lockout.succeed()
    lockout.fail()
    assert lockout.delay_ms == 0


def test_only_a_right_password_leads_in() -> None:
    ways = [(state, event) for (state, event), to in FOLLOWING.items() if to is LoginState.LOGGED_IN]
    assert ways == [(LoginState.ASK_PASSWORD, LoginEvent.RIGHT)]


def test_a_break_ends_a_session_and_no_lock_out() -> None:
    assert following(LoginState.LOGGED_IN, LoginEvent.BREAK) is LoginState.ASK_USER
    assert following(LoginState.LOCKED_OUT, LoginEvent.BREAK) is LoginState.LOCKED_OUT


def test_every_state_can_be_left_for_the_login_prompt() -> None:
    reached = {LoginState.ASK_USER}
    for _ in LoginState:
        reached |= {state for (state, _), to in FOLLOWING.items() if to in reached}
    assert reached == set(LoginState)
