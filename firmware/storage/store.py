"""A power-loss safe store of named values in NOR flash.

Why not a flash file system: several names must change in *one* step (a private key, its certificate chain and the
removal of the request that both answer), and littlefs commits one file at a time. Its Python binding also swallows
what a device callback raises and ends the process when a commit fails. What is needed instead is small: a log.

The region is split into two banks of equal size, of which one counts. A commit appends one record with all its
changes to that bank; the last record that names a name says what its value is. ::

         first block          second block ...                                     last block
        +-------------------+------------------------------------------------------------------+
  bank 0| generation 7      | record | record | half a  | record |       erased                |  <- counts
        |                   | a=1    | b=2    | record, | a=3    |                             |
        |                   |        |        | void    | b gone |                             |
        +-------------------+------------------------------------------------------------------+
  bank 1|                                  erased, waits                                       |
        +--------------------------------------------------------------------------------------+

*Commit*: program the header (how far the record reaches), program the body, program the seal. With the seal it counts.

*Compaction*, when the bank is full: the live values and the changes go into the waiting bank, then its header is
programmed with the next generation. With the header it counts. The old bank, its header and secrets zeroed at once, is
erased by ``tidy`` block by block, since one erase stops the CPU for 45 ms; at the latest the next compaction does it.
So the banks take turns, and each compaction erases no block twice. An eighth of a bank stays unused, so that one
compaction frees room for many commits even when the store is full. A block that wears out is reported, not replaced.

*Cuts*: mount finds every half-done step and ends it. A record without a seal counts when all its checksums fit (only
the seal was missing) and is void otherwise; a header cut short is zeroed; a dirty bank that does not count is erased.

*Secrets*: a value that ``secret`` names is overwritten with zeros in place once the record that replaces it is sealed;
mount does so again wherever it finds one unscrubbed, and zeroes the body of a void record.

*Bit rot*: a damaged value is reported, and its name raises StorageDamaged until it is set anew: the older value is
never given out in its place. Where a header or table of a sealed record is damaged, nobody knows which names it
changed, so any older value might be stale: mount raises StorageDamaged, and ``format`` is the only way on. Whether a
record that fails its checksums is rotten or was only cut short is told by the majority of its seal's bits.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple
from zlib import crc32

from firmware.hal import BlockDevice
from firmware.storage import records
from firmware.storage.bank import Bank, is_blank
from firmware.storage.errors import FlashFull, StorageDamaged, StorageError
from firmware.storage.records import HEADER_SIZE, SEAL, SEAL_OFFSET, Entry, Kind

__all__ = ["NAME_LIMIT", "VALUE_LIMIT", "MountReport", "Store"]

NAME_LIMIT = 96
"""Bytes of a name in UTF-8: a few words of ours, and a domain name (64 characters in a common name)."""
VALUE_LIMIT = 65_536
"""Bytes of a value: a chain of ten certificates with 4096-bit keys takes a third of it."""

_RESERVE = 8
"""One part in this many of a bank is never used for live values."""
_BLOCK_SIZE = 5
"""``ioctl`` operation of MicroPython's block device protocol: bytes in a block."""


@dataclass(frozen=True, slots=True)
class MountReport:
    """What a mount found."""

    repairs: tuple[str, ...]
    """One line per interrupted step that was ended or undone."""
    damaged: tuple[str, ...]
    """One line per name whose value is lost: name, place, checksums."""


class _Place(NamedTuple):
    """Where the value of a name lies in the bank that counts."""

    entry: Entry
    offset: int
    is_intact: bool = True
    """Whether the value fitted its checksum at mount."""


class Store:
    """Named values in the blocks ``first_block`` to ``first_block + block_count - 1`` of ``device``.

    Args:
        device: Flash whose blocks are erase blocks. Its errors (``OSError``) pass through.
        first_block: First block of the region.
        block_count: Blocks of the region; at least 4, half of them for each bank.
        secret: Whether the value of that name is to be scrubbed when it is replaced or removed.
        feed: Called before each erase; feeds the watchdog.
    """

    def __init__(
        self,
        device: BlockDevice,
        first_block: int,
        block_count: int,
        *,
        secret: Callable[[str], bool] = lambda name: False,
        feed: Callable[[], None] = lambda: None,
    ) -> None:
        if block_count < 4:
            raise StorageError(f"a store needs 4 blocks, not {block_count}")
        block_size = device.ioctl(_BLOCK_SIZE, 0) or 0
        half = block_count // 2
        self._banks = [Bank(device, first_block + n * half, half, block_size, feed) for n in range(2)]
        self._secret = secret
        self._active: Bank | None = None
        self._generation = 0
        self._end = 0
        self._index: dict[str, _Place] = {}
        self._sorted: list[str] | None = None  # the names in the index; None: they have changed
        self._live_bytes = 0
        self._repairs: list[str] = []

    def get(self, name: str) -> bytes | None:
        """The value of ``name``; None when there is none. Raises StorageDamaged when it fails its checksum."""
        bank, place = self._mounted(), self._index.get(name)
        if place is None:
            return None
        value = bank.read(place.offset, place.entry.size)
        if crc32(value) != place.entry.crc:
            raise StorageDamaged(self._damage(place, crc32(value)))
        return value

    def names(self, prefix: str = "") -> list[str]:
        """The names that begin with ``prefix``, sorted; those with damaged values too."""
        self._mounted()
        if self._sorted is None:
            self._sorted = sorted(self._index)
        begin = bisect_left(self._sorted, prefix)
        end = bisect_left(self._sorted, True, begin, key=lambda name: not name.startswith(prefix))
        return self._sorted[begin:end]

    @property
    def free_bytes(self) -> int:
        """Size of the largest value that a new name, however long, still takes (``VALUE_LIMIT`` aside)."""
        self._mounted()
        overhead = records.RECORD_OVERHEAD + records.ENTRY_OVERHEAD + NAME_LIMIT
        return max(0, self._capacity - self._live_bytes - overhead)

    def commit(self, changes: Mapping[str, bytes | None]) -> None:
        """Sets (or, with None, removes) all the names at once; durable when it returns.

        What is already so costs nothing. After a power cut at any instant either all the changes are there or none.

        Raises:
            StorageError: A name or value is too long; nothing was changed.
            FlashFull: The values do not fit; nothing was changed.
            FlashWorn, OSError: The device failed; the store is wholly as before or wholly as after.
        """
        self._mounted()
        for name, value in changes.items():
            _check(name, value)
        entries = {
            name: records.entry_from_value(name, value, secret=self._secret(name))
            for name, value in changes.items()
            if not self._is_so(name, value)
        }
        if not entries:
            return
        values = [changes[name] or b"" for name in entries]
        self._check_room(entries.values())
        with self._remounting():
            if self._end + records.record_size([*entries.values()]) <= self._mounted().size:
                self._append([*entries.values()], values)
            else:
                kept = self._kept(self._index.keys() - entries.keys())
                self._compact(chain(kept, zip(entries.values(), values, strict=True)))

    def clear(self, keep: str | None = None) -> None:
        """Removes all names, or all but those that begin with ``keep``, in one step; erases what they left."""
        old = self._mounted()
        names = self.names(keep) if keep is not None else []
        with self._remounting():
            self._compact(self._kept(names))
            old.erase()

    def tidy(self) -> bool:
        """Erases one block of the bank that waits, if it needs that. Returns whether to call again.

        For a task in the background: it keeps the erasing out of the next commit that must compact.
        """
        return self._other(self._mounted()).erase_next()

    def mount(self) -> MountReport:
        """Reads the log, and ends or undoes what a power cut interrupted. Formats flash that was never written.

        Raises:
            StorageDamaged: It is not certain what the names' values are. ``format`` starts anew.
        """
        self._active, self._repairs = None, []
        numbered = [(bank.generation, bank) for bank in self._banks]
        live = [(generation, bank) for generation, bank in numbered if generation is not None]
        if not live:
            self._refuse_written()
            self._repairs.append("formatted")
            self._format()
            live = [(1, self._banks[0])]
        self._generation, bank = max(live, key=lambda pair: pair[0])
        self._index, self._sorted, self._live_bytes = {}, None, 0
        self._scan(bank)
        self._active = bank
        other = self._other(bank)
        if not other.is_clean:
            other.erase()
            self._repairs.append(f"{other.where(0)}: waiting bank erased")
        return MountReport(tuple(self._repairs), tuple(self._damages(bank)))

    def format(self) -> None:
        """Empties the store, whatever state it is in, and mounts it.

        Cut short, the store is what it was, or formatted, or damaged; never a part of what it was.
        """
        self._format()
        self.mount()

    def _format(self) -> None:
        # The bank that counts goes last: as long as its header stands, the store is what it was.
        for bank in sorted(self._banks, key=lambda bank: bank.generation or 0):
            if not is_blank(bank.header):
                bank.disown()
        for bank in self._banks:
            bank.erase_data()
        for bank in self._banks:
            bank.erase_next()
        self._banks[0].begin()
        self._banks[0].activate(1)

    def _refuse_written(self) -> None:
        """Raises StorageDamaged unless there is nothing behind the headers, or ``format`` itself voided them."""
        headers = [bank.header for bank in self._banks]
        others = [header for header in headers if any(header)]
        is_half_formatted = len(others) < len(headers) and all(map(is_blank, others))
        if is_half_formatted or all(bank.is_empty for bank in self._banks):
            return
        found = ", ".join(f"{bank.where(0)} holds {bank.header.hex()}" for bank in self._banks)
        raise StorageDamaged(f"no valid bank header: {found}")

    def _scan(self, bank: Bank) -> None:
        offset = bank.data_offset
        while offset + HEADER_SIZE <= bank.size:
            header = bank.read(offset, HEADER_SIZE)
            if is_blank(header):
                break
            extent = records.parse_extent(header, self._generation)
            if extent is not None:
                self._replay(bank, offset, extent, header[SEAL_OFFSET:])
                offset += extent.size
                continue
            if any(header[:SEAL_OFFSET]):
                self._void_header(bank, offset, header)
            offset += HEADER_SIZE
        self._end = offset

    def _void_header(self, bank: Bank, offset: int, header: bytes) -> None:
        """Zeroes a header cut short: the first step of a record, so nothing can stand behind it."""
        behind = offset + HEADER_SIZE
        if not is_blank(bank.read(behind, bank.size - behind)):
            raise StorageDamaged(f"{bank.where(offset)}: record header {header.hex()} fails its checksum")
        bank.zero(offset, HEADER_SIZE)
        self._repairs.append(f"{bank.where(offset)}: interrupted commit undone")

    def _replay(self, bank: Bank, offset: int, extent: records.Extent, seal: bytes) -> None:
        body_offset = offset + HEADER_SIZE
        body = bank.read(body_offset, extent.body_size)
        table = records.parse_table(body, extent.table_size, self._generation)
        sealed = records.is_sealed(seal)
        is_whole = table is not None and (seal == SEAL or _is_intact(body, table))
        if table is None or not (sealed or is_whole):
            if sealed:
                raise StorageDamaged(f"{bank.where(body_offset)}: table of names fails its checksum, {len(body)} bytes")
            if bank.zero(body_offset, extent.body_size):
                self._repairs.append(f"{bank.where(offset)}: interrupted commit undone")
            return
        if is_whole and seal != SEAL:
            bank.program(offset + SEAL_OFFSET, SEAL)
            self._repairs.append(f"{bank.where(offset)}: interrupted commit completed")
        for entry, start in table:
            is_intact = crc32(body[start : start + entry.size]) == entry.crc
            self._apply(bank, _Place(entry, body_offset + start, is_intact))

    def _damages(self, bank: Bank) -> Iterator[str]:
        for place in self._index.values():
            if not place.is_intact:
                yield self._damage(place, crc32(bank.read(place.offset, place.entry.size)))

    def _append(self, entries: list[Entry], values: list[bytes]) -> None:
        bank, offset = self._mounted(), self._end
        record = records.pack_record(entries, values, self._generation, seal=SEAL)
        bank.program(offset, record[:SEAL_OFFSET])
        bank.program(offset + HEADER_SIZE, record[HEADER_SIZE:])
        bank.program(offset + SEAL_OFFSET, SEAL)
        self._end += records.record_size(entries)
        value_offset = offset + len(record) - sum(map(len, values))
        for entry in entries:
            self._apply(bank, _Place(entry, value_offset))
            value_offset += entry.size

    def _apply(self, bank: Bank, place: _Place) -> None:
        """Makes ``place`` the word on its name, and scrubs what it replaces."""
        entry = place.entry
        old = self._index.pop(entry.name, None)
        self._sorted = None
        if old is not None:
            self._live_bytes -= records.record_size([old.entry])
            if old.entry.kind is Kind.SECRET and bank.zero(old.offset, old.entry.size) and self._active is None:
                self._repairs.append(f"{bank.where(old.offset)}: old value of {entry.name} scrubbed")
        if entry.kind is not Kind.REMOVED:
            self._live_bytes += records.record_size([entry])
            self._index[entry.name] = place

    def _kept(self, names: Iterable[str]) -> Iterator[tuple[Entry, bytes]]:
        """Entry and value of each name as they stand; a damaged value goes on with the checksum that it fails."""
        bank = self._mounted()
        for name in sorted(names):
            place = self._index[name]
            yield place.entry, bank.read(place.offset, place.entry.size)

    def _compact(self, content: Iterable[tuple[Entry, bytes]]) -> None:
        """Writes ``content`` into the waiting bank, lets that one count, and zeroes the secrets of the other."""
        old, old_index = self._mounted(), self._index
        new, generation = self._other(old), self._generation + 1
        index: dict[str, _Place] = {}
        live_bytes, offset = 0, new.data_offset
        while new.erase_next():
            pass
        new.begin()
        for entry, value in content:
            if entry.kind is Kind.REMOVED:
                continue
            # Nothing counts before the bank's header does, so each record goes in one step, sealed.
            record = records.pack_record([entry], [value], generation, seal=SEAL)
            new.program(offset, record)
            index[entry.name] = _Place(entry, offset + len(record) - len(value))
            size = records.record_size([entry])
            live_bytes, offset = live_bytes + size, offset + size
        new.activate(generation)
        # Should the new header rot, the old bank must not be taken for the state of things.
        old.disown()
        self._active, self._generation, self._index, self._sorted = new, generation, index, None
        self._live_bytes, self._end = live_bytes, offset
        for place in old_index.values():
            if place.entry.kind is Kind.SECRET:
                old.zero(place.offset, place.entry.size)

    @property
    def _capacity(self) -> int:
        bank = self._banks[0]
        return (bank.size - bank.data_offset) * (_RESERVE - 1) // _RESERVE

    def _mounted(self) -> Bank:
        if self._active is None:
            raise StorageError("store is not mounted")
        return self._active

    def _other(self, bank: Bank) -> Bank:
        return self._banks[1] if bank is self._banks[0] else self._banks[0]

    def _is_so(self, name: str, value: bytes | None) -> bool:
        place = self._index.get(name)
        if place is None or value is None:
            return place is None and value is None
        is_same_entry = place.entry == records.entry_from_value(name, value, secret=self._secret(name))
        return is_same_entry and self._mounted().read(place.offset, place.entry.size) == value

    def _check_room(self, entries: Iterable[Entry]) -> None:
        after = self._live_bytes
        for entry in entries:
            old = self._index.get(entry.name)
            after -= records.record_size([old.entry]) if old else 0
            after += records.record_size([entry]) if entry.kind is not Kind.REMOVED else 0
        if after > self._capacity:
            raise FlashFull(f"flash is full: {after} bytes wanted in all, {self._capacity} fit")

    def _damage(self, place: _Place, found: int) -> str:
        where, (name, _, size, expected) = self._mounted().where(place.offset), place.entry
        return f"{where}: value of {name}, {size} bytes, has checksum {found:08x} instead of {expected:08x}"

    @contextmanager
    def _remounting(self) -> Iterator[None]:
        """Reads the flash again when the device failed: what is in it and what is in RAM may differ then."""
        try:
            yield
        except Exception:
            self.mount()
            raise


def _is_intact(body: bytes, table: list[tuple[Entry, int]]) -> bool:
    return all(crc32(body[offset : offset + entry.size]) == entry.crc for entry, offset in table)


def _check(name: str, value: bytes | None) -> None:
    size = len(name.encode())
    if not 0 < size <= NAME_LIMIT:
        raise StorageError(f"name of {size} bytes, 1 to {NAME_LIMIT} are possible: {name[:NAME_LIMIT]!r}")
    if value is not None and len(value) > VALUE_LIMIT:
        raise StorageError(f"value of {name} has {len(value)} bytes, limit {VALUE_LIMIT}")
