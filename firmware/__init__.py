"""The gateway's firmware: everything that runs on the board's CPU.

It knows hardware only through the protocols of ``firmware.hal``, and time only as a parameter. ``firmware.boot`` starts
it.
"""

VERSION = "11r1-gatebench-0.1"
"""What the firmware image in flash is called."""
