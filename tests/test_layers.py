"""The one rule of the house, read from the syntax trees: who imports whom, who knows the host, who awaits.

::

                    tests
                      |
                     hil                 the only one that knows the host
            +---------+---------+
        firmware    board    cfcard      none imports another
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ISLANDS = ("firmware", "board", "cfcard")
PACKAGES = (*ISLANDS, "hil")

HOST_MODULES = {"time", "random", "secrets", "socket", "threading", "asyncio", "selectors", "subprocess", "uuid"}
HOST_CALLS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "os.urandom", "os.getrandom"}
KNOWS_WALL_TIME = {("board/pacing.py", "time")}
"""The one module that ties virtual time to the host's clock."""

LOADS_BY_NAME = {"importlib.import_module", "__import__"}
"""Ways to import that a syntax tree does not show. ``importlib.resources`` is none of them."""

AWAITING_FOLDERS = ("firmware/kernel", "firmware/commands")
"""Besides each ``task.py``: the kernel, and command handlers, which run in the task of whoever gave the command."""

AWAITING_FILES = {"firmware/net.py", "firmware/services/dialer.py", "firmware/boot.py", "firmware/bootcode.py"}

MOST_LINES = 450

HEAVY = ("cryptography", "OpenSSL", "serial", "pytest", "gmpy2", "h11")


def paths_of(*places: str) -> list[str]:
    return sorted(
        path.relative_to(ROOT).as_posix()
        for place in places
        for path in (ROOT / place).rglob("*.py")
        if "__pycache__" not in path.parts
    )


@cache
def tree_of(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), path)


def imports_of(tree: ast.Module) -> Iterator[str]:
    """Full names of the modules that are imported anywhere in it, in functions and for type checking too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            yield node.module


def calls_of(tree: ast.Module) -> Iterator[str]:
    """The last two parts of every name that is used with a dot, and every plain name: ``datetime.now``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value
            yield f"{owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, 'id', '')}.{node.attr}"
        elif isinstance(node, ast.Name):
            yield node.id


def strangers_in(tree: ast.Module, island: str) -> set[str]:
    """Our packages that an island imports although they are none of its business."""
    roots = {name.partition(".")[0] for name in imports_of(tree)}
    return roots & ({*PACKAGES, "tests"} - {island})


def host_in(tree: ast.Module) -> set[str]:
    """What the tree asks of the host: time, chance, network, threads."""
    roots = {name.partition(".")[0] for name in imports_of(tree)}
    return (roots & HOST_MODULES) | (set(calls_of(tree)) & (HOST_CALLS | LOADS_BY_NAME))


def awaits(tree: ast.Module) -> bool:
    kinds = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    return any(isinstance(node, kinds) for node in ast.walk(tree))


def may_await(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return (
        name == "task.py"
        or name.endswith("commands.py")
        or path in AWAITING_FILES
        or folder.startswith(AWAITING_FOLDERS)
    )


@pytest.mark.parametrize("island", ISLANDS)
def test_no_island_imports_another_or_what_joins_them(island):
    found = {path: strangers_in(tree_of(path), island) for path in paths_of(island)}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize("island", ISLANDS)
def test_no_island_knows_the_host_but_the_module_that_paces(island):
    found = {(path, name) for path in paths_of(island) for name in host_in(tree_of(path))}
    assert found - KNOWS_WALL_TIME == set()


def test_the_exemption_is_used_or_it_would_be_none():
    assert {(path, name) for path, _ in KNOWS_WALL_TIME for name in host_in(tree_of(path))} == KNOWS_WALL_TIME


def test_in_the_firmware_only_tasks_the_kernel_and_command_handlers_await():
    assert [path for path in paths_of("firmware") if awaits(tree_of(path)) and not may_await(path)] == []


@pytest.mark.parametrize("island", ["board", "cfcard"])
def test_hardware_does_not_await(island):
    assert [path for path in paths_of(island) if awaits(tree_of(path))] == []


def test_every_file_says_what_it_is():
    assert [path for path in paths_of(*PACKAGES, "tests") if not ast.get_docstring(tree_of(path))] == []


def test_no_file_is_too_long_to_be_read_in_one_go():
    lengths = {path: (ROOT / path).read_text(encoding="utf-8").count("\n") for path in paths_of(*PACKAGES, "tests")}
    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}


@pytest.mark.parametrize("module", ["hil.cli", "firmware", "board", "cfcard"])
def test_what_answers_at_once_loads_nothing_heavy(module):
    if not (ROOT / module.replace(".", "/")).exists():
        pytest.skip(f"there is no {module} yet")
    code = f"import sys, {module}; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# -- the judge is judged: what breaks the rule is seen


@pytest.mark.parametrize(
    "source",
    [
        "import board",
        "import board.clock as c",
        "from board import clock",
        "from cfcard.fat import volume",
        "def f():\n    from hil.bench import Bench",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from board.cpu import Cpu",
        "import tests.conftest",
    ],
)
def test_a_stranger_is_seen_wherever_it_is_imported(source):
    assert strangers_in(ast.parse(source), "firmware")


def test_ones_own_package_and_libraries_are_no_strangers():
    source = "from firmware.kernel import Kernel\nfrom . import boarding\nimport boards, h11"
    assert strangers_in(ast.parse(source), "firmware") == set()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import time", "time"),
        ("from time import monotonic_ns", "time"),
        ("def f():\n    import asyncio.events", "asyncio"),
        ("import datetime\ndatetime.datetime.now()", "datetime.now"),
        ("from datetime import datetime\nx = datetime.now", "datetime.now"),
        ("from datetime import date\ndate.today()", "date.today"),
        ("import os\nos.urandom(4)", "os.urandom"),
        ("import importlib\nimportlib.import_module('ti' + 'me')", "importlib.import_module"),
        ("__import__('time')", "__import__"),
    ],
)
def test_asking_the_host_is_seen(source, name):
    assert host_in(ast.parse(source)) == {name}


def test_names_that_only_look_like_the_hosts_are_left_alone():
    source = "from firmware.ntp import time\nfrom datetime import datetime\nself.clock.now_ns\ntimer.today()\nmy.now()"
    assert host_in(ast.parse(source)) == set()


@pytest.mark.parametrize("source", ["async def f(): ...", "async def f():\n    await g()"])
def test_awaiting_is_seen(source):
    assert awaits(ast.parse(source))
    assert not awaits(ast.parse("def f():\n    yield 1"))


def test_pure_files_may_not_await_and_the_others_may():
    assert not any(may_await(path) for path in ("firmware/x509/name.py", "firmware/tls/engine.py", "firmware/log.py"))
    assert all(may_await(path) for path in ("firmware/tls/task.py", "firmware/x509/commands.py", "firmware/net.py"))
