"""Timelines: what happened on the boards of a bench, as files that trace viewers and waveform viewers open."""

from hil.timeline.feed import Timeline
from hil.timeline.perfetto import PerfettoSink
from hil.timeline.vcd import VcdSink

__all__ = ["PerfettoSink", "Timeline", "VcdSink"]
