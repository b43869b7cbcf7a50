"""What a piece of work costs on a board's CPU, in cycles, from a file in ``board/models/costs/``.

The reference text's law, x6 per doubling of the key length and x36 for 4096 against 1024 (Certificate Key Length and
CPU Usage), is in the figures: with RSA key exchange a whole server handshake is one private operation plus the fixed
part. Key lengths between and beyond the table's follow a power law through its neighbours.

Not modelled: caches, and the difference that the numbers themselves make.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

from board.datafile import Table, table_from_file

BLOCKS = {
    "md5": (64, 8),
    "sha1": (64, 8),
    "sha224": (64, 8),
    "sha256": (64, 8),
    "sha384": (128, 16),
    "sha512": (128, 16),
}
"""Block size and size of the length field in bytes (RFC 1321 3.1, FIPS 180-4 5.1)."""

CIPHERS = ("aes128", "aes256")
AES_BLOCK_BYTES = 16
GROUPS = ("p256", "x25519")
FIXED = ("switch", "handshake", "certificate", "command", "parse_per_byte")

ROUNDING = 1_000
"""Cycles to which interpolated costs are rounded, so that the last bits of a host's logarithm cannot show."""


@dataclass(frozen=True)
class CostTable:
    """One CPU's costs. All figures are cycles; ``*_per_byte`` cycles per byte."""

    name: str
    switch: int
    handshake: int
    certificate: int
    command: int
    parse_per_byte: int
    private_by_bits: Mapping[int, int]
    public_by_bits: Mapping[int, int]
    keygen_by_bits: Mapping[int, int]
    digest_per_byte: Mapping[str, int]
    cipher_per_byte: Mapping[str, int]
    exchange_by_group: Mapping[str, int]
    sources: Mapping[str, str]
    """Where the figures of each section come from."""
    assumed: frozenset[str]
    """Sections whose figures nobody published."""
    _known: dict[tuple[str, int], int] = field(default_factory=dict, compare=False, repr=False)

    def rsa_private(self, bits: int) -> int:
        """One private-key operation."""
        return self._power_law("private", self.private_by_bits, bits)

    def rsa_public(self, bits: int) -> int:
        """One public-key operation, exponent 65537."""
        return self._power_law("public", self.public_by_bits, bits)

    def keygen(self, bits: int) -> int:
        """One step of the search for the primes of a key of ``bits``: a modular exponentiation of half that size."""
        return self._power_law("keygen", self.keygen_by_bits, bits)

    def digest(self, algorithm: str, size_bytes: int) -> int:
        """Hashing ``size_bytes``: whole blocks, padding included. ValueError for an unknown algorithm."""
        if algorithm not in BLOCKS:
            raise ValueError(f"digest {algorithm!r}: must be one of {', '.join(BLOCKS)}")
        block_bytes, length_bytes = BLOCKS[algorithm]
        blocks = -(-(size_bytes + 1 + length_bytes) // block_bytes)
        return blocks * block_bytes * self.digest_per_byte[algorithm]

    def cipher(self, name: str, size_bytes: int) -> int:
        """Encrypting or decrypting ``size_bytes``, in whole blocks. ValueError for an unknown cipher."""
        if name not in self.cipher_per_byte:
            raise ValueError(f"cipher {name!r}: must be one of {', '.join(CIPHERS)}")
        blocks = -(-size_bytes // AES_BLOCK_BYTES)
        return blocks * AES_BLOCK_BYTES * self.cipher_per_byte[name]

    def key_exchange(self, group: str) -> int:
        """Both multiplications of an ephemeral exchange. ValueError for an unknown group."""
        if group not in self.exchange_by_group:
            raise ValueError(f"group {group!r}: must be one of {', '.join(GROUPS)}")
        return self.exchange_by_group[group]

    def parse(self, size_bytes: int) -> int:
        """Reading ``size_bytes`` of a text protocol."""
        return size_bytes * self.parse_per_byte

    def _power_law(self, what: str, table: Mapping[int, int], bits: int) -> int:
        if bits in table:
            return table[bits]
        known = self._known.get((what, bits))
        if known is None:
            known = self._known[what, bits] = _interpolate(table, bits)
        return known


def _interpolate(table: Mapping[int, int], bits: int) -> int:
    """The cost at ``bits`` on the straight line, in logarithms, through the two nearest entries around it."""
    if bits <= 0:
        raise ValueError(f"key length {bits} bits: must be positive")
    sizes = sorted(table)
    above = next((index for index, size in enumerate(sizes) if size > bits), len(sizes) - 1)
    low, high = sizes[max(above, 1) - 1], sizes[max(above, 1)]
    exponent = math.log(table[high] / table[low]) / math.log(high / low)
    cycles = table[low] * math.exp(exponent * math.log(bits / low))
    return max(ROUNDING, round(cycles / ROUNDING) * ROUNDING)


def cost_table_from_file(path: Path) -> CostTable:
    """The cost table in a TOML file. ModelError names file, field, value and limit."""
    top = table_from_file(path)
    sources: dict[str, str] = {}
    assumed: set[str] = set()

    def section(name: str) -> Table:
        table = top.table(name)
        sources[name] = table.text("source")
        if table.flag("assumed", default=False):
            assumed.add(name)
        return table

    by_bits = {name: _figures_by_bits(section(name)) for name in ("rsa_private", "rsa_public", "keygen")}
    digests = _figures(section("digest"), tuple(BLOCKS))
    ciphers = _figures(section("cipher"), CIPHERS)
    groups = _figures(section("key_exchange"), GROUPS)
    fixed = {}
    for name in FIXED:
        table = section(name)
        fixed[name] = table.integer("cycles", low=1)
        table.finish()
    name = top.text("name")
    top.finish()
    return CostTable(
        name=name,
        switch=fixed["switch"],
        handshake=fixed["handshake"],
        certificate=fixed["certificate"],
        command=fixed["command"],
        parse_per_byte=fixed["parse_per_byte"],
        private_by_bits=by_bits["rsa_private"],
        public_by_bits=by_bits["rsa_public"],
        keygen_by_bits=by_bits["keygen"],
        digest_per_byte=digests,
        cipher_per_byte=ciphers,
        exchange_by_group=groups,
        sources=MappingProxyType(sources),
        assumed=frozenset(assumed),
    )


def _figures(table: Table, names: tuple[str, ...]) -> Mapping[str, int]:
    figures = {name: table.integer(name, low=1) for name in names}
    table.finish()
    return MappingProxyType(figures)


def _figures_by_bits(table: Table) -> Mapping[int, int]:
    """Key length to cycles: at least two lengths, costs rising with them."""
    figures: dict[int, int] = {}
    for name in table.names():
        cycles = table.integer(name, low=1)
        if not name.isdecimal() or int(name) < 1:
            table.refuse(name, cycles, "a key length in bits is needed as the field's name")
        figures[int(name)] = cycles
    ordered = dict(sorted(figures.items()))
    costs = list(ordered.values())
    if len(costs) < 2 or any(earlier >= later for earlier, later in pairwise(costs)):
        table.refuse("*", ordered, "must be two key lengths or more, and cost more the longer they are")
    return MappingProxyType(ordered)
