"""``gatebench repeat``: a recorded run, done again up to any instant."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hil.bench import Bench
    from hil.record import Record, Repeat

__all__ = ["add_parser"]

EXAMPLES = """\
examples:
  gatebench repeat record.zip                            repeat it to its end, and compare every event
  gatebench repeat record.zip --console                  and show what the boards said
  gatebench repeat record.zip --until 12.5 --save b.zip  stop after 12.5 virtual seconds, and keep the board:
  gatebench run --from b.zip                             go on with it by hand
  gatebench repeat record.zip --until event:4711 --trace run.json

A failing pytest test leaves its record in .gatebench/; Bench(seed=7, record="record.zip") records any other run.
Exit code 1: the run was another than the recorded one; the first difference is named.
"""

LATEST_S = 1e9

LARGEST_EVENT = 1 << 62


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers ``repeat``."""
    text = "repeat a recorded run to the last event, or up to any instant"
    parser = subparsers.add_parser(
        "repeat",
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=_run)
    parser.add_argument("file", metavar="FILE", help="the record")
    parser.add_argument(
        "--until",
        metavar="SECONDS|event:N",
        type=_until,
        default=(None, None),
        help="stop at this virtual time, or with the step that made so many trace events",
    )
    parser.add_argument("--console", action="store_true", help="print what the boards said, with the virtual time")
    parser.add_argument("--trace", metavar="FILE", help="write a timeline for Perfetto (ui.perfetto.dev)")
    parser.add_argument("--vcd", metavar="FILE", help="write LEDs, card, CPU, serial line for waveform viewers")
    parser.add_argument(
        "--save", metavar="FILE", help="save the board as it is then; with several boards one file each, FILE-NAME"
    )


def _run(arguments: argparse.Namespace) -> int:
    from hil.outputs import require_writable
    from hil.record import RepeatDiffers, record_from_file
    from hil.record.repeat import Repeat

    outputs = {"--trace": arguments.trace, "--vcd": arguments.vcd, "--save": arguments.save}
    require_writable(outputs, {"the record": arguments.file})
    record = record_from_file(arguments.file)
    repeat = Repeat(record, watch=lambda bench: _watch(bench, record, arguments.vcd))
    until_ns, until_event = arguments.until
    with repeat.bench as bench:
        if arguments.trace is not None:
            bench.save_timeline(arguments.trace)
        try:
            repeat.run(until_ns=until_ns, until_event=until_event)
        except RepeatDiffers:
            pass
        if arguments.console:
            _show_consoles(bench)
        if arguments.save is not None:
            _save(bench, Path(arguments.save))
        return _judge(repeat)


def _watch(bench: Bench, record: Record, vcd: str | None) -> None:
    """A waveform file names its signals at its beginning, so all boards have to be there."""
    made = sum(action.kind == "gateway" for action in record.actions)
    if vcd is not None and len(bench.gateways) == made:
        bench.save_vcd(vcd)


def _judge(repeat: Repeat) -> int:
    """Says what came of it; the exit code."""
    from hil.errors import seconds_text

    bench, facts = repeat.bench, repeat.record.facts
    print(f"repeated {bench.trace.count} trace events, virtual time {seconds_text(bench.now_ns)}, seed {facts.seed}")
    difference = repeat.difference
    if difference is None and repeat.at_end:
        print(f"digest {bench.trace.digest()}, as recorded")
        return 0
    if difference is None:
        whole = f"{facts.trace_events} trace events, {seconds_text(facts.now_ns)}"
        print(f"digest {bench.trace.digest()}, as recorded so far; the record has {whole}")
        return 0
    print(f"digest {bench.trace.digest()}, recorded {facts.digest}", flush=True)
    print(f"gatebench: another run than the recorded one: expected {difference.expected}", file=sys.stderr)
    print(f"gatebench: got {difference.got}", file=sys.stderr)
    for reason in repeat.reasons():
        print(f"gatebench: perhaps because {reason}", file=sys.stderr)
    return 1


def _show_consoles(bench: Bench) -> None:
    for gateway in bench.gateways:
        if len(bench.gateways) > 1:
            print(f"{gateway.name}:")
        sys.stdout.write(gateway.console.transcript())


def _save(bench: Bench, path: Path) -> None:
    alone = len(bench.gateways) == 1
    for gateway in bench.gateways:
        place = path if alone else path.with_name(f"{path.stem}-{gateway.name}{path.suffix}")
        gateway.save(place)
        print(f"saved {gateway.name}: gatebench run --from {place}")


def _until(text: str) -> tuple[int | None, int | None]:
    """(time, None) or (None, trace event)."""
    word, separator, number = text.replace(" ", ":").partition(":")
    if separator and word == "event":
        if not (number.isascii() and number.isdigit() and 1 <= int(number) <= LARGEST_EVENT):
            raise argparse.ArgumentTypeError(f"{text!r} is not a trace event: event:1 and up")
        return None, int(number)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LATEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is neither seconds, 0 to {LATEST_S:g}, nor event:N")
    return round(seconds * 1e9), None
