"""The serial console: login, line editor, paste mode, and the task that serves the line."""

from firmware.console.editor import LineEditor
from firmware.console.login import FACTORY_USER, IDLE_MINUTES, Accounts, Lockout, login_fields
from firmware.console.paste import Paste
from firmware.console.task import Console

__all__ = ["FACTORY_USER", "IDLE_MINUTES", "Accounts", "Console", "LineEditor", "Lockout", "Paste", "login_fields"]
