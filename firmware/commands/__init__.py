"""The one registry of operations, and the command language that console, web pages and scripts speak."""

from firmware.commands.clock import is_time_set, register_ctime
from firmware.commands.completion import Completion, complete
from firmware.commands.eventlog import EventLog
from firmware.commands.help import register_help
from firmware.commands.kinds import Choice, Hex, Kind, Number, Text
from firmware.commands.language import (
    call_from_fields,
    call_from_line,
    line_from_call,
    text_from_value,
    value_from_text,
)
from firmware.commands.registry import (
    FORM_OPTIONS,
    TOP_LEVEL,
    Argument,
    Call,
    Operation,
    Option,
    Registry,
    Reply,
    Session,
)
from firmware.commands.settings import Field, Settings, register_config
from firmware.commands.system import (
    register_cpu,
    register_info,
    register_leds,
    register_log,
    register_logout,
    register_restart,
    register_tasks,
)
from firmware.commands.task import Interpreter, Outcome, Restart
from firmware.commands.variables import Variable, VariableOwner, Variables, register_vars

__all__ = [
    "FORM_OPTIONS",
    "TOP_LEVEL",
    "Argument",
    "Call",
    "Choice",
    "Completion",
    "EventLog",
    "Field",
    "Hex",
    "Interpreter",
    "Kind",
    "Number",
    "Operation",
    "Option",
    "Outcome",
    "Registry",
    "Reply",
    "Restart",
    "Session",
    "Settings",
    "Text",
    "Variable",
    "VariableOwner",
    "Variables",
    "call_from_fields",
    "call_from_line",
    "complete",
    "is_time_set",
    "line_from_call",
    "register_config",
    "register_cpu",
    "register_ctime",
    "register_help",
    "register_info",
    "register_leds",
    "register_log",
    "register_logout",
    "register_restart",
    "register_tasks",
    "register_vars",
    "text_from_value",
    "value_from_text",
]
