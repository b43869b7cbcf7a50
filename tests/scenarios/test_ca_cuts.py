"""Power goes while the board writes its CA to the card: it comes back with everything that it had told."""

from __future__ import annotations

import pytest

from cfcard.fat import Fat
from hil.sweep.powerloss.boards import BOARD_OPERATIONS, CREATE, ISSUE, Trial, run_board_job

pytestmark = pytest.mark.needs_faults


@pytest.mark.parametrize("operation", BOARD_OPERATIONS)
def test_a_cut_at_writes_spread_over_the_operation_loses_nothing(operation: str) -> None:
    tally = run_board_job(operation, seed=11, count=4)
    assert tally.failures == []
    assert sum(tally.states.values()) == 5


def test_the_last_cut_of_a_board_is_behind_its_last_write_and_the_others_are_not() -> None:
    with Trial(3, "power") as trial:
        assert not trial.do(CREATE, 100_000)
        writes = trial.log.write_sectors
        assert "is on the card" in trial.reported
    with Trial(3, "power") as trial:
        assert trial.do(CREATE, writes)
        assert not trial.gateway.powered
        assert "is on the card" not in trial.reported
    with Trial(3, "power") as trial:
        assert not trial.do(CREATE, writes + 1)


def test_a_certificate_is_not_reported_before_its_number_is_used_up() -> None:
    with Trial(5, "power") as trial:
        trial.run(CREATE)
        trial.do(ISSUE, 100_000)
        writes = trial.log.write_sectors
        assert "serial 01" in trial.reported
    for at in (1, 2, writes // 2, writes):
        with Trial(5, "power") as trial:
            trial.run(CREATE)
            assert trial.do(ISSUE, at)
            assert "serial 01" not in trial.reported
            trial.go_on()
            assert trial.run("x509 servercert-show /json").json["source"] == "builtin"


def test_a_trial_sees_a_board_whose_card_lost_the_key() -> None:
    with Trial(7, "power") as trial:
        trial.run(CREATE)
        trial.do(ISSUE, 3)
        trial.go_on()
        trial.run("card unmount")
        volume = Fat().mount(trial.sectors)
        volume.remove("/CA/cakey.pem")
        volume.remove("/CABAK/cakey.pem")
        trial.run("card mount")
        trial.judge(set(), has_ca=True)
        assert any("the CA is lost" in line for line in trial.wrong)
