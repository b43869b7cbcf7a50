"""A phone's registration: its settings, its states, what it says, and the task that does it."""

from firmware.registration.commands import register_status
from firmware.registration.machine import Progress, State
from firmware.registration.settings import MODULE, PHONE_FIELDS, Plan, plan_from_values
from firmware.registration.task import Registration

__all__ = [
    "MODULE",
    "PHONE_FIELDS",
    "Plan",
    "Progress",
    "Registration",
    "State",
    "plan_from_values",
    "register_status",
]
