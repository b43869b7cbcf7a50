"""The watch that says in time which certificates are about to expire."""

from firmware.expiry.task import watch_expiry

__all__ = ["watch_expiry"]
