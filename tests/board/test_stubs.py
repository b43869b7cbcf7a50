"""Our peripherals against MicroPython's own description of its hardware classes, the micropython-stubs packages.

The stubs are read as text, never imported: beside ``machine.pyi`` they hold a ``time.pyi`` and others that would take
the place of the standard library's. ``make test`` puts them into ``.stubs``; ``GATEBENCH_STUBS`` names another place.

Only positional parameters count, by number and name: MicroPython's methods are written in C and take hardly anything
by keyword. Constructors are not compared, because a board makes its own parts.
"""

from __future__ import annotations

import ast
import inspect
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from board.flash import Flash
from board.pin import Pin
from board.rtc import Rtc
from board.slot import SlotDevice
from board.uart import Uart
from board.watchdog import Watchdog

BLOCK_DEVICE = ("readblocks", "writeblocks", "ioctl")
"""All of ``vfs.AbstractBlockDev``."""

COMPARED = [
    (
        Uart,
        "machine.UART",
        ("init", "any", "read", "readinto", "readline", "write", "sendbreak", "flush", "txdone", "irq"),
    ),
    (Pin, "machine.Pin", ("init", "value", "__call__", "irq", "on", "off", "high", "low")),
    (Rtc, "machine.RTC", ("datetime",)),
    (Watchdog, "machine.WDT", ("feed",)),
    (Flash, "vfs.AbstractBlockDev", BLOCK_DEVICE),
    (SlotDevice, "vfs.AbstractBlockDev", BLOCK_DEVICE),
]
"""Our class, the stubs' class, and the methods that ours must have."""


@dataclass(frozen=True)
class Shape:
    """One way in which the stubs allow a method to be called: its positional parameters, the first few required."""

    names: tuple[str, ...]
    required: int


def repository_root() -> Path:
    return Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stubs() -> Path:
    """The folder of the stubs; skips where they are not, but not under CI=true."""
    folder = Path(os.environ.get("GATEBENCH_STUBS") or repository_root() / ".stubs")
    if not (folder / "machine.pyi").is_file():
        reason = f"no micropython-stm32-stubs in {folder} (make test installs them)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


def shapes_of(stubs: Path, qualified_name: str) -> dict[str, list[Shape]]:
    """Every method of a stub class with its overloads; those described as ``*args`` are left out, they say nothing."""
    module, class_name = qualified_name.split(".")
    tree = ast.parse((stubs / f"{module}.pyi").read_text(encoding="utf-8"))
    found = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name)
    shapes: dict[str, list[Shape]] = {}
    for method in found.body:
        if isinstance(method, ast.FunctionDef) and method.args.vararg is None and method.name != "__init__":
            arguments = [*method.args.posonlyargs, *method.args.args]
            names = tuple(argument.arg for argument in arguments[1:])
            shapes.setdefault(method.name, []).append(Shape(names, len(names) - len(method.args.defaults)))
    return shapes


def differences(ours: type, stub: dict[str, list[Shape]]) -> Iterator[str]:
    """One line for each method of ours that cannot be called as the stub says."""
    for name, shapes in stub.items():
        method = inspect.getattr_static(ours, name, None)
        if not inspect.isfunction(method):
            continue
        parameters = list(inspect.signature(method).parameters.values())[1:]
        positional = [parameter for parameter in parameters if parameter.kind <= parameter.POSITIONAL_OR_KEYWORD]
        required = sum(parameter.default is parameter.empty for parameter in parameters)
        names = tuple(parameter.name for parameter in positional)
        for shape in shapes:
            if names[: len(shape.names)] != shape.names:
                yield f"{ours.__name__}.{name}{names} must begin with {shape.names}"
            elif required > shape.required:
                yield f"{ours.__name__}.{name} needs {required} arguments where {shape.required} must do"


@pytest.mark.parametrize(("ours", "stub_name", "needed"), COMPARED, ids=[ours.__name__ for ours, _, _ in COMPARED])
def test_ours_can_be_called_as_micropythons(stubs: Path, ours: type, stub_name: str, needed: tuple[str, ...]) -> None:
    assert list(differences(ours, shapes_of(stubs, stub_name))) == []


@pytest.mark.parametrize(("ours", "stub_name", "needed"), COMPARED, ids=[ours.__name__ for ours, _, _ in COMPARED])
def test_ours_has_what_drivers_need(ours: type, stub_name: str, needed: tuple[str, ...]) -> None:
    assert [name for name in needed if not callable(getattr(ours, name, None))] == []


@pytest.mark.parametrize(("ours", "stub_name", "needed"), COMPARED, ids=[ours.__name__ for ours, _, _ in COMPARED])
def test_what_drivers_need_stands_in_the_stubs(
    stubs: Path, ours: type, stub_name: str, needed: tuple[str, ...]
) -> None:
    module, class_name = stub_name.split(".")
    tree = ast.parse((stubs / f"{module}.pyi").read_text(encoding="utf-8"))
    found = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name)
    described = {node.name for node in found.body if isinstance(node, ast.FunctionDef)}
    assert set(needed) <= described


class Misspelt:
    """A UART that no MicroPython driver could use."""

    def read(self, size: int | None = None) -> bytes | None:
        return None

    def write(self, buf: bytes, timeout_ms: int) -> int:
        return len(buf)

    def any(self) -> int:
        return 0


def test_a_wrong_signature_is_found(stubs: Path) -> None:
    assert list(differences(Misspelt, shapes_of(stubs, "machine.UART"))) == [
        "Misspelt.read('size',) must begin with ('nbytes',)",
        "Misspelt.write needs 2 arguments where 1 must do",
    ]
