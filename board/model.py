"""Board models: what makes an IP800 an IP800, from the data files in ``board/models/``.

A file states its figures, and for each of them either where it was published (``[sources]``) or that nobody published
it (``assumed``): for this family of devices, CPU, clock rate and memory sizes stand in no public document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from board.costs import CostTable, cost_table_from_file
from board.datafile import Table, table_from_file
from board.errors import ModelError
from board.flash import SECTOR_BYTES

MODELS = Path(__file__).parent / "models"

LED_NAMES = ("ready", "eth0", "eth1", "cf")
"""Every board has ``ready``; the others show a link, or the card's activity."""

PIO_CYCLE_NS = (600, 383, 240, 180, 120)
"""How long a word of 16 bits takes in PIO mode 0 to 4 (ATA/ATAPI-6, "register transfer to and from device")."""

FIGURES = (
    "cpu.mhz",
    "cpu.cost_table",
    "memory.ram_kib",
    "memory.flash_kib",
    "memory.flash_program_us",
    "memory.flash_erase_us",
    "slot.present",
    "slot.pio_mode",
    "uart.baudrate",
    "ethernet.ports",
    "leds.names",
    "watchdog.timeout_ms",
    "rtc.battery",
    "temperature.ambient",
    "temperature.rise",
)
"""Fields that must have a source, or be marked as assumed."""


@dataclass(frozen=True)
class Model:
    """One board model."""

    name: str
    """Lower case, also the file's name."""
    product: str
    """Upper case: the first part of the netbios name."""
    description: str
    hz: int
    costs: CostTable
    ram_bytes: int
    flash_bytes: int
    flash_program_ns: int
    flash_erase_ns: int
    has_slot: bool
    slot_bytes_per_s: int
    """The slot's bus limit, whatever card is in."""
    uart_baudrate: int
    ethernet_ports: int
    leds: tuple[str, ...]
    watchdog_timeout_ms: int
    has_battery: bool
    """Whether the real-time clock runs on without power."""
    ambient: float
    """Degrees Celsius around the board."""
    temperature_rise: float
    """Degrees above that, once warm."""
    sources: Mapping[str, str]
    """Where a figure was published, by its field."""
    assumed: frozenset[str]
    """Fields whose figures nobody published."""


def model_names() -> list[str]:
    """All models there are, in alphabetical order."""
    return sorted(path.stem for path in MODELS.glob("*.toml"))


@cache
def model_named(name: str) -> Model:
    """The model of that name. ModelError when there is none."""
    if name not in model_names():
        raise ModelError(f"no model {name!r}: must be one of {', '.join(model_names())}")
    return model_from_file(MODELS / f"{name}.toml")


def model_from_file(path: Path) -> Model:
    """The model in a TOML file. Its cost table is looked for beside it in ``costs``, then among ours.

    ModelError names file, field, value and limit.
    """
    top = table_from_file(path)
    name, product = top.text("name"), top.text("product")
    if name != path.stem:
        top.refuse("name", name, f"must be the file's name, {path.stem!r}")
    if product != product.upper():
        top.refuse("product", product, "must be in upper case")
    description = top.text("description")
    cpu, memory, temperature = top.table("cpu"), top.table("memory"), top.table("temperature")
    sections = {part: top.table(part) for part in ("slot", "uart", "ethernet", "leds", "watchdog", "rtc")}
    assumed, sources = _origins(top)
    model = Model(
        name=name,
        product=product,
        description=description,
        hz=cpu.integer("mhz", 1, 5_000) * 1_000_000,
        costs=_cost_table(cpu, path),
        ram_bytes=memory.integer("ram_kib", 64, 16_777_216) * 1_024,
        flash_bytes=_flash_bytes(memory),
        flash_program_ns=memory.integer("flash_program_us", 1, 100_000) * 1_000,
        flash_erase_ns=memory.integer("flash_erase_us", 1, 10_000_000) * 1_000,
        has_slot=sections["slot"].flag("present"),
        slot_bytes_per_s=2_000_000_000 // PIO_CYCLE_NS[sections["slot"].integer("pio_mode", 0, len(PIO_CYCLE_NS) - 1)],
        uart_baudrate=sections["uart"].integer("baudrate", 50, 4_000_000),
        ethernet_ports=sections["ethernet"].integer("ports", 1, 8),
        leds=_leds(sections["leds"]),
        watchdog_timeout_ms=sections["watchdog"].integer("timeout_ms", 1, 600_000),
        has_battery=sections["rtc"].flag("battery"),
        ambient=temperature.number("ambient", -40, 85),
        temperature_rise=temperature.number("rise", 0, 80),
        sources=sources,
        assumed=assumed,
    )
    for table in (cpu, memory, temperature, *sections.values(), top):
        table.finish()
    return model


def _origins(top: Table) -> tuple[frozenset[str], Mapping[str, str]]:
    """Which figures are assumed, and where the others come from: each is one or the other."""
    assumed = top.texts("assumed")
    table = top.table("sources")
    sources = {figure: table.text(figure) for figure in FIGURES if figure in table.names()}
    table.finish()
    for figure in assumed:
        if figure not in FIGURES:
            top.refuse("assumed", figure, "there is no such figure")
    for figure in FIGURES:
        if (figure in assumed) == (figure in sources):
            top.refuse("assumed", list(assumed), f"{figure} must be either here or in sources")
    return frozenset(assumed), MappingProxyType(sources)


def _cost_table(cpu: Table, path: Path) -> CostTable:
    name = cpu.text("cost_table")
    places = [folder / "costs" / f"{name}.toml" for folder in (path.parent, MODELS)]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        cpu.refuse("cost_table", name, f"there is no costs/{name}.toml")
    return _cost_table_of(file)


@cache
def _cost_table_of(file: Path) -> CostTable:
    """Models share a table: a thousand boards read it once."""
    return cost_table_from_file(file)


def _flash_bytes(memory: Table) -> int:
    kib = memory.integer("flash_kib", 64, 1_048_576)
    if kib * 1_024 % SECTOR_BYTES:
        memory.refuse("flash_kib", kib, f"must be a multiple of {SECTOR_BYTES // 1_024}")
    return kib * 1_024


def _leds(table: Table) -> tuple[str, ...]:
    names = table.texts("names")
    if "ready" not in names or not set(names) <= set(LED_NAMES):
        table.refuse("names", list(names), f"must hold ready, and else only {', '.join(LED_NAMES[1:])}")
    return names
