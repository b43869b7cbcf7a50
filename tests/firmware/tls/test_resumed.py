"""A coroutine whose first step was done by hand, before anybody waited for it."""

from __future__ import annotations

import pytest

from firmware.tls.task import resumed


async def stubborn(kernel, heard):
    """Waits ten seconds, and once more when something is thrown at it."""
    for _ in range(2):
        try:
            await kernel.sleep_ms(10_000)
        except TimeoutError:
            heard.append(kernel.now_ns // 1_000_000_000)
    return "done"


@pytest.mark.parametrize(("thrown_ms", "heard", "done_ms"), [(None, [], 20_000), (4_000, [4], 14_000)])
def test_a_coroutine_that_has_begun_goes_on_as_if_it_were_awaited(service_board, thrown_ms, heard, done_ms):
    kernel, told = service_board.kernel, []

    async def going_on():
        begun = stubborn(kernel, told)
        return await resumed(begun, begun.send(None))

    task = service_board.spawn(going_on())
    if thrown_ms is not None:
        service_board.run_ms(thrown_ms)
        kernel.interrupt(task, TimeoutError())
    service_board.run_ms(done_ms - (thrown_ms or 0) - 10)
    assert not task.done
    service_board.run_ms(20)
    assert (service_board.result(task), told) == ("done", heard)
