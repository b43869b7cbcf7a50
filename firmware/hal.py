"""What the firmware needs from hardware, as protocols that the firmware owns.

The boards fit these structurally; nothing here imports them, and they import nothing from here. The words are those
of MicroPython's ``machine`` and ``vfs`` modules wherever these have a word.

Two times exist. *World time* is what the virtual clock shows. *Local time*, ``Cpu.now_ns``, belongs to one CPU: it runs
ahead of the world while a task uses up cycles, and the world catches up when the task awaits ("loosely timed", as in
SystemC's temporal decoupling). Everything that the firmware puts out leaves the board at local time.

Handlers given to ``irq`` run in interrupt context: they may set an event or wake a task, and must not await or charge.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Literal, NoReturn, Protocol

__all__ = [
    "BlockDevice",
    "CardSlot",
    "CheckReport",
    "Costs",
    "Cpu",
    "Entropy",
    "FileSystem",
    "Hardware",
    "Led",
    "Listener",
    "Model",
    "Network",
    "Pin",
    "Readable",
    "RepairReport",
    "Rtc",
    "Stream",
    "Trace",
    "Uart",
    "Volume",
    "VolumeFile",
    "Wdt",
    "World",
]


Readable = bytes | bytearray | memoryview
"""Anything that bytes can be read from."""


class World(Protocol):
    """The world outside one CPU, as far as its scheduler must know it."""

    @property
    def horizon_ns(self) -> int:
        """World time of the next thing that will happen out there: run no further without returning."""


class Cpu(Protocol):
    """One CPU: a clock rate and a local time that work moves on."""

    hz: int
    now_ns: int
    """Local time in ns since the world began. The kernel sets it forward when it idles."""

    @property
    def world(self) -> World: ...

    def spend(self, cycles: int) -> None:
        """Moves local time on by ``cycles``. May end in a watchdog reset, which unwinds as a ``BaseException``."""


class Costs(Protocol):
    """The board's cost table: what a piece of work costs on this CPU, in cycles. Host time never enters."""

    @property
    def switch(self) -> int:
        """One dispatch of a task."""

    @property
    def handshake(self) -> int:
        """Fixed part of a TLS handshake: records, key derivation, state."""

    @property
    def certificate(self) -> int:
        """Parsing one certificate or request."""

    @property
    def command(self) -> int:
        """Parsing and dispatching one console command."""

    def rsa_private(self, bits: int) -> int: ...

    def rsa_public(self, bits: int) -> int: ...

    def keygen(self, bits: int) -> int:
        """One primality test step (a half-size modular exponentiation) while looking for a key of ``bits``."""

    def digest(self, algorithm: str, size_bytes: int) -> int:
        """``algorithm`` is ``md5``, ``sha1``, ``sha224``, ``sha256``, ``sha384`` or ``sha512``; charged per block."""

    def cipher(self, name: str, size_bytes: int) -> int:
        """``name`` is ``aes128`` or ``aes256``."""

    def key_exchange(self, group: str) -> int:
        """Both multiplications of an ephemeral exchange; ``group`` is ``p256`` or ``x25519``."""

    def parse(self, size_bytes: int) -> int:
        """Reading ``size_bytes`` of a text protocol (HTTP, SIP, a command)."""


class Uart(Protocol):
    """Shape of MicroPython's ``machine.UART``: transmit and receive FIFOs with a timed line behind them."""

    def any(self) -> int:
        """Number of bytes that can be read at once."""

    def read(self, nbytes: int | None = None, /) -> bytes | None:
        """Up to ``nbytes`` (default: all there is); None when there is nothing."""

    def write(self, buf: Readable, /) -> int | None:
        """Puts ``buf`` into the transmit buffer. Returns the number of bytes taken; None when it is full."""

    def txdone(self) -> bool: ...

    def irq(self, handler: Callable[[Any], None] | None, trigger: int = 0, hard: bool = False) -> Any:
        """``handler(uart)`` is called when bytes arrive, on break or line error, and when all was transmitted."""

    def take_flags(self) -> frozenset[str]:
        """Error flags since the last call, cleared by it: of ``overrun``, ``framing``, ``break``."""


class Pin(Protocol):
    """Shape of MicroPython's ``machine.Pin``."""

    def value(self, x: int | None = None, /) -> int | None: ...

    def irq(self, handler: Callable[[Any], None] | None = None, trigger: int = 0) -> Any: ...


class Led(Protocol):
    """A light with colours and a blinker of its own, as LED controllers have."""

    def set(self, colour: str, blink_ms: int = 0) -> None:
        """``colour``: ``off``, ``green``, ``orange`` or ``red``; ``blink_ms``: half period, 0 = steady."""

    def state(self) -> str:
        """``off``, ``green``, ``orange blinking`` ..."""


class Rtc(Protocol):
    """Shape of MicroPython's ``machine.RTC``."""

    def datetime(self, datetimetuple: tuple[int, int, int, int, int, int, int, int] | None = None, /) -> Any:
        """(year, month, day, weekday, hours, minutes, seconds, microseconds), UTC. Without a battery: 1970-01-01."""


class Wdt(Protocol):
    """Shape of MicroPython's ``machine.WDT``: resets the board when not fed for ``timeout_ms``."""

    timeout_ms: int

    def feed(self) -> None: ...

    def irq(self, handler: Callable[[], None] | None) -> None:
        """Pre-timeout interrupt: the last thing that runs before the reset."""


class BlockDevice(Protocol):
    """MicroPython's block device protocol (``vfs.AbstractBlockDev``), simple and extended.

    Errors are ``OSError`` with an errno: ENODEV no card, EIO sector unreadable, EROFS write-protected.
    """

    def readblocks(self, block_num: int, buf: bytearray | memoryview, offset: int = 0, /) -> None: ...

    def writeblocks(self, block_num: int, buf: Readable, offset: int = 0, /) -> None: ...

    def ioctl(self, op: int, arg: int, /) -> int | None:
        """1 init, 2 deinit, 3 sync, 4 block count, 5 block size in bytes, 6 erase block ``arg``."""


class CardSlot(Protocol):
    """The CompactFlash slot: card-detect pins and, while a card is in, a block device."""

    @property
    def detect(self) -> Pin:
        """-CD1 and -CD2 combined: 0 while a card is in (both tied to ground in the card). Bounces."""

    @property
    def device(self) -> BlockDevice:
        """Always the same object; every access fails with ENODEV while no card is in, or once the card was swapped
        until ``ioctl(1, 0)`` (init) was called again."""

    def identify(self) -> bytes:
        """The card's 512-byte IDENTIFY block (ATA command ECh; word 0 is 848Ah). OSError ENODEV without a card."""


class VolumeFile(Protocol):
    """An open file of a volume, in binary mode."""

    def read(self, nbytes: int = -1, /) -> bytes: ...

    def write(self, buf: Readable, /) -> int: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def tell(self) -> int: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class Volume(Protocol):
    """A mounted FAT volume: shape of MicroPython's ``vfs.VfsFat`` plus four calls; errors are ``OSError``."""

    def open(self, path: str, mode: str = "rb", /) -> VolumeFile: ...

    def ilistdir(self, path: str = "/", /) -> Iterator[tuple[str, int, int, int]]:
        """(name, type, 0, size_bytes) per entry; type 0x4000 is a directory, 0x8000 a file."""

    def mkdir(self, path: str, /) -> None: ...

    def remove(self, path: str, /) -> None: ...

    def rename(self, old: str, new: str, /) -> None: ...

    def stat(self, path: str, /) -> tuple[int, ...]: ...

    def statvfs(self, path: str, /) -> tuple[int, ...]: ...

    def umount(self) -> None: ...

    def read_file(self, path: str, /) -> bytes:
        """The whole file. OSError ENOENT when it is not there."""

    def replace(self, path: str, data: bytes, /) -> None:
        """Writes a whole file so that a cut at any sector leaves the old content or the new one under ``path``, and
        the name there for a PC at every instant (shadow copy, then one directory-sector flip)."""

    def overwrite(self, path: str, data: bytes, /) -> None:
        """Rewrites a file of the same size in its own sectors; touches neither directory nor FAT."""

    @property
    def serial(self) -> int:
        """Volume serial number from the boot sector."""


class CheckReport(Protocol):
    """What a check of a volume found."""

    @property
    def clean(self) -> bool: ...

    @property
    def problems(self) -> tuple[str, ...]:
        """One line each: where, what was expected, what was found."""


class RepairReport(Protocol):
    """What a repair of a volume did, and what it left as it was."""

    @property
    def done(self) -> tuple[str, ...]: ...

    @property
    def left(self) -> tuple[str, ...]: ...


class FileSystem(Protocol):
    """The FAT code handed to the firmware: makes, mounts, checks and mends volumes on a block device.

    What takes long is a generator: it moves some ten sectors per step, may be given up after each (a card can be pulled
    at any time anyway), and returns its report.
    """

    def mount(self, device: BlockDevice, /) -> Volume:
        """OSError ENODEV (no card), EIO, or EILSEQ when there is no usable FAT volume (the text says why)."""

    def mount_steps(self, device: BlockDevice, /) -> Generator[None, None, Volume]:
        """``mount``, and whatever would make a later call of the volume read more than some ten sectors."""

    def mkfs_steps(
        self, device: BlockDevice, /, *, fat: int | None = None, serial: int = 0, label: str = ""
    ) -> Generator[None, None, None]:
        """Formats: keeps an existing MBR, else superfloppy; two FATs; ``fat`` 12, 16, 32 or None for the size's own.

        The first step writes nothing: it raises OSError EINVAL where that FAT is not possible.
        """

    def check_steps(self, device: BlockDevice, /) -> Generator[None, None, CheckReport]: ...

    def repair_steps(self, device: BlockDevice, /) -> Generator[None, None, RepairReport]:
        """Mends what a cut or a careless PC left; writes nothing to a volume that is in order. OSError as ``mount``."""


StreamStatus = Literal["connecting", "open", "refused", "reset", "closed"]


class Stream(Protocol):
    """One end of a TCP connection, never blocking."""

    peer: str
    """``host:port`` of the other end."""

    @property
    def status(self) -> StreamStatus:
        """``open`` until both directions ended; ``refused`` and ``reset`` are final."""

    @property
    def failure(self) -> int:
        """Why it failed, as an errno: ECONNREFUSED, ECONNRESET, ETIMEDOUT; 0 while it has not."""

    def read(self, nbytes: int = -1, /) -> bytes | None:
        """What has arrived; None when nothing has; ``b""`` when the other end has closed and all was read."""

    def write(self, buf: bytes, /) -> int:
        """Number of bytes taken; 0 while the window is full (``irq`` tells when there is room)."""

    def close(self) -> None: ...

    def irq(self, handler: Callable[[], None] | None) -> None:
        """``handler()`` is called when something arrived, room came free, or ``status`` changed."""


class Listener(Protocol):
    def close(self) -> None: ...


class Network(Protocol):
    """The Ethernet port with a TCP stack in it."""

    address: str

    def listen(self, port: int, handler: Callable[[Any], None]) -> Listener:
        """``handler(stream)`` is called, in interrupt context, for every accepted connection. Where nobody listens,
        connections are refused. OSError EADDRINUSE."""

    def connect(self, host: str, port: int) -> Stream: ...


class Entropy(Protocol):
    """A stream of random bytes of one part's own."""

    secret: bool
    """False in seeded runs: anybody can draw the same bytes again."""

    def randbytes(self, n: int, /) -> bytes: ...


class Trace(Protocol):
    """Where events go that make up a run's trace."""

    def __call__(self, now_ns: int, kind: str, name: str, value: int | str) -> None: ...


class Model(Protocol):
    """What the board's model file says of itself, as far as the firmware cares."""

    @property
    def name(self) -> str:
        """Lower case, for example ``ip800``; also the factory password."""

    @property
    def product(self) -> str:
        """Upper case, for example ``IP800``: first part of the netbios name."""

    @property
    def has_slot(self) -> bool: ...

    @property
    def ram_bytes(self) -> int: ...


class Hardware(Protocol):
    """One board, as handed to the firmware at power-on."""

    noinit: bytearray
    """RAM that a reset leaves alone and that power-off zeroes."""
    reset_cause: str
    """``power-on``, ``button``, ``watchdog``, ``software`` or ``fault``."""

    @property
    def model(self) -> Model: ...

    @property
    def mac(self) -> bytes:
        """6 bytes, 00-90-33-xx-xx-xx."""

    @property
    def cpu(self) -> Cpu: ...

    @property
    def costs(self) -> Costs: ...

    @property
    def uart(self) -> Uart: ...

    @property
    def rtc(self) -> Rtc: ...

    @property
    def wdt(self) -> Wdt: ...

    @property
    def flash(self) -> BlockDevice:
        """The whole NOR flash: blocks are erase blocks; programming only clears bits, erasing sets them."""

    @property
    def leds(self) -> Mapping[str, Led]: ...

    @property
    def button(self) -> Pin:
        """0 while pressed."""

    @property
    def slot(self) -> CardSlot | None: ...

    @property
    def network(self) -> Network: ...

    @property
    def trace(self) -> Trace | None: ...

    def temperature(self) -> float:
        """Degrees Celsius on the board."""

    def entropy(self, name: str) -> Entropy: ...

    def reset(self, cause: str = "software") -> NoReturn:
        """Resets the CPU at once: unwinds the firmware as a ``BaseException``."""
