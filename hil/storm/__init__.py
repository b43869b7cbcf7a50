"""The storm: after a power cut many phones register over TLS, and a planner sees what his certificates cost.

::

    parameters --+--> world: bench, registrar, phones, all provisioned --> run: power, time --> result --> JSON
    keys --------+                                                          |                     |
                                            recorder and registrar: listen -+                     +--> table, page

From Python::

    settings = variations(Parameters(phones=20), {"key": [1024, 4096]})
    short, long = compare(settings, seed=1)
    assert long.storm_ns > 30 * short.storm_ns
"""

from __future__ import annotations

from hil.storm.comparison import compare
from hil.storm.parameters import Parameters, variations
from hil.storm.result import SettingResult, StormResult, storm_from_json

__all__ = ["Parameters", "SettingResult", "StormResult", "compare", "storm_from_json", "variations"]
