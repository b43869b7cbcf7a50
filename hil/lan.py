"""The emulated network between the gateways of one bench: who is meant by a host name, and nothing more.

A gateway is found by its netbios name (``IP800-06-11-ad``), its MAC address with dashes, or its name on the bench, in
upper or lower case. Nobody else is on the network: other names are refused, as a router would say that there is no such
host; so are gateways without power.

Not modelled: IP addresses, DNS, ARP, latency of the segment beyond that of the Ethernet ports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from board.ethernet import Stream, refuse

if TYPE_CHECKING:
    from hil.gateway import Gateway


def join_lan(gateway: Gateway) -> None:
    """Takes the connections that ``gateway`` begins to the others of its bench."""

    def connect(stream: Stream, host: str, port: int) -> None:
        for other in gateway.bench.gateways:
            if host.lower() in (other.netbios.lower(), other.mac.hex("-"), other.name.lower()):
                other.board.network.admit(stream, f"{gateway.netbios}:{stream.local_port}", port)
                return
        refuse(stream)

    gateway.board.network.on_connect(connect)
