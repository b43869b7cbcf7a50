"""What a box can hold."""

from __future__ import annotations

from typing import ClassVar

import pytest

from firmware.services.capacity import connections_for_memory, handshakes_for_key, line_for_key


class FakeModel:
    """A board model. Not modelled: anything but its memory."""

    name, product, has_slot = "ip1", "IP1", False

    def __init__(self, ram_kib: int) -> None:
        self.ram_bytes = ram_kib * 1_024


class FakeCosts:
    """Private key operations of a 200 MHz PowerPC. Not modelled: anything else."""

    private: ClassVar = {1024: 10_000_000, 2048: 62_500_000, 3072: 160_000_000, 4096: 377_500_000}

    def rsa_private(self, bits: int) -> int:
        return self.private[bits]


@pytest.mark.parametrize(("ram_kib", "connections"), [(32_768, 273), (65_536, 546), (131_072, 1_092), (64, 1)])
def test_half_of_the_memory_holds_connections(ram_kib: int, connections: int) -> None:
    assert connections_for_memory(FakeModel(ram_kib)) == connections


@pytest.mark.parametrize(("bits", "handshakes"), [(1024, 32), (2048, 32), (3072, 12), (4096, 5)])
def test_the_longer_the_key_the_fewer_at_once(bits: int, handshakes: int) -> None:
    assert handshakes_for_key(200_000_000, FakeCosts(), bits) == handshakes  # type: ignore[arg-type]


@pytest.mark.parametrize(("bits", "places"), [(1024, 200), (2048, 32), (3072, 12), (4096, 5)])
def test_a_line_is_as_long_as_can_be_served_while_a_peer_waits(bits: int, places: int) -> None:
    assert line_for_key(200_000_000, FakeCosts(), bits) == places  # type: ignore[arg-type]


def test_a_line_has_a_place_however_slow_the_cpu() -> None:
    assert line_for_key(1_000_000, FakeCosts(), 4096) == 1  # type: ignore[arg-type]


def test_a_slow_cpu_still_does_some_at_once() -> None:
    assert handshakes_for_key(10_000_000, FakeCosts(), 4096) == 4  # type: ignore[arg-type]
