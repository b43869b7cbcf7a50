"""The content of a flash chip in a file, so that it survives the end of the run.

The file is the chip byte by byte, nothing else. Every step that the emulated chip finishes is one write to the file, at
once: a run that is killed leaves what a power cut leaves, and never half of a step.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from hil.errors import EnvironmentRefused


class FlashFile:
    """``size_bytes`` of flash in the file ``path``; a new one begins with what ``make_content()`` gives.

    ``pread``/``pwrite`` rather than a memory map: a file that somebody else cuts short is then an error here, not the
    end of the process.

    Raises:
        EnvironmentRefused: another run holds the file, or its size is not the chip's; it is left as it was.
        OSError: the host cannot open, make or lock it.
    """

    def __init__(self, path: str | os.PathLike[str], size_bytes: int, make_content: Callable[[], bytes]) -> None:
        self.path = Path(path)
        self._size_bytes = size_bytes
        self.created = not self.path.exists()
        """Whether the file was made just now."""
        if self.created:
            self._create(make_content)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._lock()
            self._check_size()
        except BaseException:
            os.close(self._fd)
            self._fd = -1
            raise

    def __len__(self) -> int:
        return self._size_bytes

    def __getitem__(self, key: slice, /) -> bytes:
        begin, end, _ = key.indices(self._size_bytes)
        data = os.pread(self._fd, end - begin, begin)
        if len(data) != end - begin:
            raise EnvironmentRefused(f"{self.path}: the flash file was cut short to less than {end} bytes")
        return data

    def __setitem__(self, key: slice, value: bytes, /) -> None:
        begin, end, _ = key.indices(self._size_bytes)
        if len(value) != end - begin:
            raise ValueError(f"{len(value)} bytes for a slice of {end - begin}: a chip keeps its size")
        os.pwrite(self._fd, value, begin)

    def close(self) -> None:
        """Makes everything durable and gives the file free; a second call does nothing."""
        if self._fd < 0:
            return
        try:
            os.fsync(self._fd)
        finally:
            os.close(self._fd)
            self._fd = -1

    def _create(self, make_content: Callable[[], bytes]) -> None:
        """Makes the file whole or not at all: under another name first, then linked into its place."""
        if not self.path.parent.is_dir():
            raise EnvironmentRefused(f"flash file {self.path}: there is no directory {self.path.parent}")
        content = bytes(make_content())
        if len(content) != self._size_bytes:
            raise ValueError(f"{len(content)} bytes of content for a chip of {self._size_bytes}")
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            # Not replace(): when another run was quicker, its file stays, and the lock decides who goes on.
            os.link(draft, self.path)
        except FileExistsError:
            self.created = False
        finally:
            draft.unlink(missing_ok=True)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EnvironmentRefused(f"flash file {self.path} is in use by another run") from None

    def _check_size(self) -> None:
        found = os.fstat(self._fd).st_size
        if found != self._size_bytes:
            text = f"flash file {self.path} has {found} bytes, the chip of this model has {self._size_bytes}"
            raise EnvironmentRefused(text)
