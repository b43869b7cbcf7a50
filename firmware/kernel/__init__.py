"""The firmware's kernel: cooperative tasks, and a CPU budget that they charge their work to."""

from firmware.kernel.budget import LoadMeter, Share
from firmware.kernel.scheduler import Kernel
from firmware.kernel.sync import Event, Queue, QueueFull
from firmware.kernel.task import Cancelled, Priority, Task, TaskUse

__all__ = [
    "Cancelled",
    "Event",
    "Kernel",
    "LoadMeter",
    "Priority",
    "Queue",
    "QueueFull",
    "Share",
    "Task",
    "TaskUse",
]
