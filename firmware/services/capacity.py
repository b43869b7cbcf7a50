"""How many TLS connections a box can hold, and how many handshakes it works at at once.

What comes beyond the first is closed at once. What comes beyond the second is accepted and waits in line, as in the
accept queue of a TCP stack that hands over what has begun to speak: after a power cut all phones come within the same
second, and to serve all of them at once would only mean that all are served after the last one has lost its patience.
The line has no limit of its own: whoever stands in it is counted among the connections, because it will need its memory
when its turn comes.

Not modelled: memory itself, how it is used up and breaks into pieces; only the number of connections stands for it.
"""

from __future__ import annotations

from firmware.hal import Costs, Model

__all__ = ["connections_for_memory", "handshakes_for_key"]

CONNECTION_BYTES = 60 * 1_024
"""Of a TLS connection at its worst: record buffers of 16 KiB each way, handshake messages, certificates, state."""

MEMORY_SHARE = 2
"""Half of the memory for them; firmware, calls and tables need the other half. An assumption, as the RAM sizes are."""

PATIENCE_S = 10
"""All handshakes together may take so long: a third of what our own TLS waits for a peer, and of what a SIP
transaction may take. Two thirds are left for the line, for the network and for the peer's own CPU."""

FEWEST_HANDSHAKES, MOST_HANDSHAKES = 4, 32
"""One peer that is slow must not hold up all. The CPU has to have something to do while peers think: a phone needs 20
times as long for a 4096-bit key of its own as this box for one of 1024 bits."""


def connections_for_memory(model: Model) -> int:
    """How many TLS connections fit a board's memory."""
    return max(1, model.ram_bytes // MEMORY_SHARE // CONNECTION_BYTES)


def handshakes_for_key(hz: int, costs: Costs, key_bits: int) -> int:
    """How many server handshakes may go on at once with a key of that length: 32 with 1024 bits, 5 with 4096."""
    fitting = PATIENCE_S * hz // max(1, costs.rsa_private(key_bits))
    return min(max(fitting, FEWEST_HANDSHAKES), MOST_HANDSHAKES)
