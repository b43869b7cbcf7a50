"""The storm: after a power cut many phones register at once over TLS, and a planner sees what his certificates cost."""

from __future__ import annotations

__all__: list[str] = []
