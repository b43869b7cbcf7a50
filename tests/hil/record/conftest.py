"""A recorded bench, and its repetition, which must be the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hil.bench import Bench
from hil.cards import CardPort
from hil.gateway import Gateway
from hil.record import Record


@pytest.fixture(scope="module")
def benches_closed() -> Iterator[None]:
    """Closes every bench that a module's tests have left open: what one forgets complains of its coroutines."""
    made: list[Bench] = []
    begin = Bench.__init__

    def init(bench: Bench, *arguments: Any, **keywords: Any) -> None:
        begin(bench, *arguments, **keywords)
        made.append(bench)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bench, "__init__", init)
        yield
    for bench in made:
        bench.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    """In place of the plugin's: of one seed, and recorded."""
    with Bench(seed=21, record=True) as made:
        yield made


@pytest.fixture
def booted() -> Callable[..., Gateway]:
    """``booted(bench, **arguments)``: a gateway of these arguments, switched on and logged in."""

    def boot(bench: Bench, **arguments: Any) -> Gateway:
        gateway = bench.gateway(**arguments)
        gateway.power_on()
        gateway.console.login()
        return gateway

    return boot


@pytest.fixture
def record_of() -> Callable[[Bench], Record]:
    """``record_of(bench)``: what was recorded so far."""

    def record(bench: Bench) -> Record:
        assert bench.recorder is not None
        return bench.recorder.record()

    return record


@pytest.fixture
def repeated(tmp_path: Path) -> Callable[[Bench], Bench]:
    """``repeated(bench)``: the run so far, done again from a file; it must be the same, event by event."""

    def check(bench: Bench) -> Bench:
        path = tmp_path / "record.zip"
        bench.save_record(path)
        again = Bench.repeat_of(path)
        assert again.trace.digest() == bench.trace.digest()
        assert again.now_ns == bench.now_ns
        for before, after in zip(bench.gateways, again.gateways, strict=True):
            assert after.console.data == before.console.data
            assert after.flash_image == before.flash_image
            assert after.state() == before.state()
            assert (after.card is None) == (before.card is None)
            if before.card is not None and after.card is not None:
                assert CardPort(after.board, after.card).image == CardPort(before.board, before.card).image
        return again

    return check
