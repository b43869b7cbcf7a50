"""The sweep of power losses: every operation on card and flash, cut at every write, under every failure model.

=================  ==============================================================
``job``            every operation on a card, cut at every write, under every model
``operations``     what is cut, and what was promised before
``models``         what a cut leaves
``judge``          what counts as a loss
``peers``          foreign programs' word
``volumes``        the cards
``device``         the record that all cuts are made from
``core``           the smallest machine that runs the firmware's coroutines
``flash``          the same for the flash store
``boards``         the same for whole boards, a few
``run``            all of it, on all cores
``report``         the table, and the JSON
=================  ==============================================================
"""

from __future__ import annotations

from hil.sweep.powerloss.job import FULL, REDUCED, Effort, Failure, Job, Tally, jobs, run_job
from hil.sweep.powerloss.report import json_from_tally, text_from_tally

__all__ = [
    "FULL",
    "REDUCED",
    "Effort",
    "Failure",
    "Job",
    "Tally",
    "jobs",
    "json_from_tally",
    "run_job",
    "text_from_tally",
]
