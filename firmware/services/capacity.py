"""How many TLS connections a box can hold, how many handshakes it works at at once, and how many wait for that.

What comes beyond the first is closed at once. What comes beyond the second is accepted and waits in line, as in the
accept queue of a TCP stack that hands over what has begun to speak: after a power cut all phones come within the same
second, and to serve all of them at once would only mean that all are served after the last one has lost its patience.
The line has an end for the same reason: with 4096 bits a hundred phones that come within a minute would all be served
when they are about to go, for ever, and hardly one be registered. Who is sent away at once comes again in time. Whoever
stands in line is counted among the connections, because it will need its memory when its turn comes.

Not modelled: memory itself, how it is used up and breaks into pieces; only the number of connections stands for it.
"""

from __future__ import annotations

from firmware.hal import Costs, Model

__all__ = ["connections_for_memory", "handshakes_for_key", "line_for_key"]

CONNECTION_BYTES = 60 * 1_024
"""Of a TLS connection at its worst: record buffers of 16 KiB each way, handshake messages, certificates, state."""

MEMORY_SHARE = 2
"""Half of the memory for them; firmware, calls and tables need the other half. An assumption, as the RAM sizes are."""

PATIENCE_S = 10
"""All handshakes that go on may take so long together, and all those in line once more: each a third of what our own
TLS waits for a peer, and of what a SIP transaction may take. A third is left for the network and the peer's own CPU."""

LONGEST_LINE = 1_000
"""That anybody may ask for: as many as there may be device entries."""

FEWEST_HANDSHAKES, MOST_HANDSHAKES = 4, 32
"""One peer that is slow must not hold up all. The CPU has to have something to do while peers think: a phone needs 20
times as long for a 4096-bit key of its own as this box for one of 1024 bits."""


def connections_for_memory(model: Model) -> int:
    """How many TLS connections fit a board's memory."""
    return max(1, model.ram_bytes // MEMORY_SHARE // CONNECTION_BYTES)


def handshakes_for_key(hz: int, costs: Costs, key_bits: int) -> int:
    """How many server handshakes may go on at once with a key of that length: 32 with 1024 bits, 5 with 4096."""
    return min(max(line_for_key(hz, costs, key_bits), FEWEST_HANDSHAKES), MOST_HANDSHAKES)


def line_for_key(hz: int, costs: Costs, key_bits: int) -> int:
    """How many may stand in line for a handshake with a key of that length: 200 with 1024 bits, 5 with 4096."""
    return max(1, PATIENCE_S * hz // max(1, costs.rsa_private(key_bits)))
