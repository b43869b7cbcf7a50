"""Who may log in, and the steps of it. Pure: salt and time are handed in.

::

                   line             right
    ASK_USER ---------> ASK_PASSWORD ----> LOGGED_IN
       ^  ^                 | wrong            |
       |  | delay over      v                  | logout, idle, break
       |  +------------- LOCKED_OUT            |
       +---------------------------------------+
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from enum import Enum

from firmware.commands import Field, Number, Text
from firmware.errors import ConfigError
from firmware.hal import Costs

__all__ = [
    "FACTORY_USER",
    "IDLE_MINUTES",
    "PASSWORD_LIMIT",
    "Accounts",
    "Lockout",
    "LoginEvent",
    "LoginState",
    "check_password",
    "following",
    "login_fields",
    "password_record",
    "verify_password",
]

FACTORY_USER = "admin"
"""Its factory password is the model's name (vendor's courseware)."""

PASSWORD_LIMIT = 15
"""Characters of a password in version 11; it may not be empty (vendor's page on administration access)."""

IDLE_MINUTES = 15
"""Automatic logout, unless configured otherwise; 0 stands for never."""

ITERATIONS = 2_000
"""PBKDF2 rounds: tens of milliseconds of this CPU per attempt, which a person does not mind."""

SALT_BYTES = 16

FREE_ATTEMPTS = 2
"""Wrong passwords without a delay: fingers slip."""

FIRST_DELAY_MS = 1_000
LAST_DELAY_MS = 60_000
"""From the third wrong password on the delay doubles from one second up to a minute: 1500 attempts a day."""


class LoginState(Enum):
    ASK_USER = "ask user"
    ASK_PASSWORD = "ask password"
    LOCKED_OUT = "locked out"
    LOGGED_IN = "logged in"


class LoginEvent(Enum):
    LINE = "line"  # a user name
    RIGHT = "right"
    WRONG = "wrong"
    ABANDONED = "abandoned"  # Ctrl-C, Ctrl-D, nobody types
    DELAY_OVER = "delay over"
    ENDED = "ended"  # logout, idle too long
    BREAK = "break"  # on the line: whoever sits there now is somebody else


FOLLOWING = {
    (LoginState.ASK_USER, LoginEvent.LINE): LoginState.ASK_PASSWORD,
    (LoginState.ASK_USER, LoginEvent.ABANDONED): LoginState.ASK_USER,
    (LoginState.ASK_USER, LoginEvent.BREAK): LoginState.ASK_USER,
    (LoginState.ASK_PASSWORD, LoginEvent.RIGHT): LoginState.LOGGED_IN,
    (LoginState.ASK_PASSWORD, LoginEvent.WRONG): LoginState.LOCKED_OUT,
    (LoginState.ASK_PASSWORD, LoginEvent.ABANDONED): LoginState.ASK_USER,
    (LoginState.ASK_PASSWORD, LoginEvent.BREAK): LoginState.ASK_USER,
    (LoginState.LOCKED_OUT, LoginEvent.DELAY_OVER): LoginState.ASK_USER,
    (LoginState.LOGGED_IN, LoginEvent.ENDED): LoginState.ASK_USER,
    (LoginState.LOGGED_IN, LoginEvent.BREAK): LoginState.ASK_USER,
}
"""A break does not end a lock-out."""


def following(state: LoginState, event: LoginEvent) -> LoginState:
    """The state after an event; one that means nothing in this state changes nothing."""
    return FOLLOWING.get((state, event), state)


class Lockout:
    """Delay after wrong passwords. One for all faces, so that attempts over HTTPS count on the console too."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._until_ns = 0
        self.failures = 0
        """Wrong passwords since the last right one."""

    @property
    def delay_ms(self) -> int:
        """How long nobody may try, from now on."""
        return max(0, -((self._now_ns() - self._until_ns) // 1_000_000))

    def fail(self) -> None:
        """A wrong password was given."""
        self.failures += 1
        excess = self.failures - FREE_ATTEMPTS
        if excess > 0:
            delay_ms = min(LAST_DELAY_MS, FIRST_DELAY_MS << min(excess - 1, 10))
            self._until_ns = self._now_ns() + delay_ms * 1_000_000

    def succeed(self) -> None:
        """A right password was given."""
        self.failures = 0


def password_record(password: str, salt: bytes) -> str:
    """What is kept of a password: method, rounds, salt and hash in one word. ConfigError for a bad password."""
    check_password(password)
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    return f"pbkdf2-sha256${ITERATIONS}${salt.hex()}${digest.hex()}"


def check_password(password: str) -> None:
    """ConfigError for a password that is not allowed."""
    if not 1 <= len(password) <= PASSWORD_LIMIT:
        raise ConfigError("password", f"password must be 1 to {PASSWORD_LIMIT} characters, has {len(password)}")
    if not password.isprintable():
        raise ConfigError("password", "password must be without control characters")


def verify_password(record: str, password: str) -> bool:
    """Whether the password is the one that was kept; takes as long for a wrong one. False for a damaged record."""
    try:
        method, rounds, salt, digest = record.split("$")
        if method != "pbkdf2-sha256":
            return False
        made = hashlib.pbkdf2_hmac("sha256", password.encode(), bytes.fromhex(salt), int(rounds))
        return hmac.compare_digest(made, bytes.fromhex(digest))
    except ValueError:
        return False


class Accounts:
    """The users and their passwords.

    Args:
        record: gives what is kept of the administrator's password; None: it is still the factory's.
    """

    def __init__(self, factory_password: str, record: Callable[[], str | None]) -> None:
        self._factory_password = factory_password
        self._record = record

    @property
    def is_factory(self) -> bool:
        """Whether the factory password still opens the board."""
        return self._record() is None

    def verify(self, user: str, password: str) -> bool:
        """Whether this user has this password."""
        record = self._record()
        if record is None:
            right = hmac.compare_digest(self._factory_password.encode(), password.encode())
        else:
            right = verify_password(record, password)
        return right and hmac.compare_digest(user.encode(), FACTORY_USER.encode())

    def cost(self, costs: Costs) -> int:
        """Cycles that a verification takes."""
        return 0 if self.is_factory else ITERATIONS * 2 * costs.digest("sha256", SALT_BYTES)


def login_fields(randbytes: Callable[[int], bytes]) -> tuple[Field, ...]:
    """The options of ``config change CMD``: ``/password`` and ``/logout-min``.

    Args:
        randbytes: where salts come from.
    """

    def seal(password: str) -> str:
        return password_record(password, randbytes(SALT_BYTES))

    password = Field(
        "password", Text(limit=PASSWORD_LIMIT), None, "of user admin; factory: model name", secret=True, seal=seal
    )
    logout = Field("logout-min", Number(0, 1440), IDLE_MINUTES, "minutes until automatic logout, 0: never")
    return (password, logout)
