"""Bridges between a board and the host: TCP ports, and the serial console on terminals, ptys and sockets."""

from hil.bridges.console import ConsoleHub
from hil.bridges.outbound import OutboundBridge
from hil.bridges.outlet import Outlet
from hil.bridges.tcp import PortBridge, bound_socket

__all__ = ["ConsoleHub", "OutboundBridge", "Outlet", "PortBridge", "bound_socket"]
