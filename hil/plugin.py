"""The pytest plugin ``gatebench``: fixtures for tests of a gateway, emulated here, the same test on a rack later.

Nothing is automatic: a test that asks for no fixture of ours pays nothing, not even the import. All options bear our
prefix. A test's seed follows from its name, so that it repeats exactly; ``--gatebench-seed`` sets another.

=============  ====================================================================================
``rack``       what the tests run on: the rack file's board, or an emulated IP800
``bench``      the world: virtual time, seed, trace; more gateways with ``bench.gateway(...)``
``board``      a gateway, switched on and booted to its login prompt
``console``    its console, logged in
``card``       a RAM card in its slot: insert, remove, look at it from the host
=============  ====================================================================================

``@pytest.mark.gatebench(model="ip305", factory="upgraded", ...)`` changes what ``board`` is, with the arguments of
``Bench.gateway``.

Every ``bench`` is recorded. A test that fails leaves its record behind, with console logs, flash and card images, in
``.gatebench`` at the root of the tests; its report names the command that repeats it.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hil.bench import Bench
    from hil.cards import CardPort
    from hil.console import Console
    from hil.gateway import Gateway
    from hil.rack import Rack

SEED_BITS = 31
"""Short enough to be typed."""

BOOT_TIMEOUT_MS = 60_000

CARD_SETTLES_MS = 300
"""Contacts bounce for 3 ms, the firmware waits 50 ms more, and then mounts."""

SECTION = "gatebench"

_bench_key = pytest.StashKey["Bench"]()
_rack_key = pytest.StashKey["Rack"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds our options."""
    group = parser.getgroup("gatebench", "gatebench: tests of a gateway")
    group.addoption("--gatebench-rack", metavar="FILE", help="TOML file that says which board the tests run on")
    group.addoption(
        "--gatebench-seed", metavar="N", type=int, help="seed of every test (default: from the test's name)"
    )
    group.addoption(
        "--gatebench-artifacts",
        metavar="DIR",
        help="where failed tests leave record, console logs, flash and card images; all of them are kept there"
        " (default: .gatebench in the root directory, which keeps the newest 10)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Makes our markers known."""
    config.addinivalue_line("markers", "needs_real: needs a real board; skipped on an emulated one")
    config.addinivalue_line(
        "markers", "needs_faults: needs a board whose parts can be made to fail; skipped on a real one"
    )
    config.addinivalue_line("markers", "gatebench(**arguments): what the fixture board is, as for Bench.gateway")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what this rack cannot do, before any fixture is made."""
    needs = [name for name in ("needs_real", "needs_faults") if item.get_closest_marker(name) is not None]
    if not needs:
        return
    emulated = _rack(item.config).kind == "emulated"
    if "needs_real" in needs and emulated:
        pytest.skip("needs a real board, this rack's is emulated")
    if "needs_faults" in needs and not emulated:
        pytest.skip("needs parts that can be made to fail, this rack's board is real")


@pytest.fixture(scope="session")
def rack(pytestconfig: pytest.Config) -> Rack:
    """What the tests run on."""
    return _rack(pytestconfig)


@pytest.fixture
def bench(request: pytest.FixtureRequest, rack: Rack) -> Iterator[Bench]:
    """A world of this test's own, in free-running virtual time, closed at the test's end."""
    from hil.bench import Bench

    if rack.kind != "emulated":
        pytest.skip(rack.reason)
    node = request.node
    option = request.config.getoption("--gatebench-seed")
    seed = _seed_from_name(node.nodeid) if option is None else option
    with Bench(seed, record=True) as made:
        made.repeat = f"pytest {shlex.quote(node.nodeid)} --gatebench-seed {seed}"
        node.stash[_bench_key] = made
        yield made


@pytest.fixture
def board(request: pytest.FixtureRequest, bench: Bench, rack: Rack) -> Gateway:
    """A gateway, switched on and booted to its login prompt."""
    marker = request.node.get_closest_marker("gatebench")
    arguments: dict[str, Any] = {**rack.arguments, **(marker.kwargs if marker is not None else {})}
    gateway = bench.gateway(**arguments)
    request.node.user_properties += [("gatebench_model", gateway.model.name), ("gatebench_seed", str(bench.seed))]
    gateway.power_on()
    gateway.console.expect("login: ", timeout_ms=BOOT_TIMEOUT_MS)
    return gateway


@pytest.fixture
def console(board: Gateway) -> Console:
    """The board's console, logged in with the factory password."""
    board.console.login()
    return board.console


@pytest.fixture
def card(board: Gateway) -> CardPort:
    """A card in the board's slot, empty as a new one; its contacts have settled, and the board has seen it."""
    from hil.cards import CardPort

    if board.card is not None:
        return CardPort(board.board, board.card)
    port = board.insert_card("ram")
    board.bench.run_for(ms=CARD_SETTLES_MS)
    return port


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds to the report of a failed test what its bench knows, and leaves its artifacts."""
    report = yield
    made = item.stash.get(_bench_key, None)
    if made is not None and report.failed:
        report.sections.append((SECTION, "\n".join([*_section_lines(made), *_leave_artifacts(made, item)])))
    return report


def _rack(config: pytest.Config) -> Rack:
    """The rack of this run, read once. A rack file that cannot be used ends the run as wrong usage."""
    from hil.errors import RackMisuse
    from hil.rack import DEFAULT_RACK, rack_from_file

    if _rack_key not in config.stash:
        path = config.getoption("--gatebench-rack")
        try:
            config.stash[_rack_key] = DEFAULT_RACK if path is None else rack_from_file(Path(path))
        except RackMisuse as error:
            raise pytest.UsageError(str(error)) from error
    return config.stash[_rack_key]


def _seed_from_name(nodeid: str) -> int:
    """The same seed for the same test, wherever it runs."""
    return int.from_bytes(hashlib.sha256(nodeid.encode()).digest()[:4], "big") >> (32 - SEED_BITS)


def _section_lines(bench: Bench) -> list[str]:
    from hil.errors import LAST_BYTES, readable, seconds_text

    lines = [f"virtual time: {seconds_text(bench.now_ns)}", f"seed: {bench.seed}", f"repeat: {bench.repeat}"]
    for gateway in bench.gateways:
        lines.append(f"{gateway.name}, last bytes of {len(gateway.console.data)}:")
        lines += ["    " + line for line in readable(bytes(gateway.console.data[-LAST_BYTES:]))]
    return lines


def _leave_artifacts(bench: Bench, item: pytest.Item) -> list[str]:
    """Leaves what a failed test leaves, and gives the lines that say where. A host that refuses is no failure."""
    from hil.artifacts import DEFAULT_FOLDER, RECORD, folder_name, leave, prune
    from hil.errors import EnvironmentRefused, RackMisuse, reason_from_oserror

    chosen = item.config.getoption("--gatebench-artifacts")
    root = item.config.rootpath / DEFAULT_FOLDER
    folder = (root / "failures" if chosen is None else Path(chosen)) / folder_name(item.nodeid)
    try:
        left = leave(bench, folder)
        if chosen is None:
            prune(root)
    except (OSError, EnvironmentRefused, RackMisuse) as error:
        reason = reason_from_oserror(error) if isinstance(error, OSError) else error
        return [f"not all could be left behind in {folder}: {reason}"]
    here = item.config.invocation_params.dir
    shown = [path.relative_to(here) if path.is_relative_to(here) else path for path in left]
    repeat = [f"record: gatebench repeat {shlex.quote(str(path))}" for path in shown if path.name == RECORD]
    return [*repeat, *(f"left behind: {path}" for path in shown)]
