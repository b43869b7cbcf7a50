"""What the figures mean, in sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hil.storm.page.figures import Figures, Verdict, quickest
from hil.storm.page.units import BLANK, count, duration, percent, plural, ratio
from hil.storm.result import StormResult

KINDS = {
    "rsa-private": "private key (RSA)",
    "rsa-public": "checking signatures",
    "keygen": "making keys",
    "tls": "TLS protocol, key exchange",
    "hash": "hashing",
    "cipher": "encryption",
    "parse": "reading certificates",
    "sip": "SIP messages",
    "flash": "writing flash",
    "card": "memory card",
    "command": "commands",
    "switch": "task switching",
}
"""Kinds of CPU work, for somebody who plans networks."""

REASONS = {
    "tls: timeout": "TLS handshake not done in time",
    "tls: no answer": "no answer to the TLS handshake",
    "tls: connection lost": "connection lost during the TLS handshake",
    "handshake timeout": "TLS handshake not done in time",
    "timeout-connect": "no TCP connection in time",
    "timeout-f": "no answer to REGISTER in time (SIP timer F)",
    "pong-timeout": "no answer to a keep-alive",
    "refused": "connection refused",
    "lost": "connection lost",
    "protocol": "an answer that is none",
}
"""Why attempts failed."""

TIMEOUTS = {
    "connect": "TCP connection",
    "handshake": "TLS handshake",
    "transaction": "REGISTER (timer F)",
    "pong": "keep-alive",
}

TIMEOUT_REASONS = {
    "connect": ("timeout-connect",),
    "handshake": ("tls: timeout", "handshake timeout"),
    "transaction": ("timeout-f",),
    "pong": ("pong-timeout",),
}
"""What an attempt is said to have failed for, of each of them."""

QUEUES = {
    "connections": "phones waiting for the TLS handshake",
    "handshakes": "handshakes under way",
    "ready urgent": "tasks ready to run, urgent",
    "ready console": "tasks ready to run, console",
    "ready service": "tasks ready to run, services",
    "ready background": "tasks ready to run, background",
}

HYPHEN = "\N{NON-BREAKING HYPHEN}"

NO_DIFFERENCE = 1.05
"""Durations that differ by less than this are as good as equal to a planner."""

KEY_LABEL = re.compile(r"\d+-bit")


def kind_words(kind: str) -> str:
    """A kind of work; its own name where we know no better one."""
    return KINDS.get(kind, kind)


def reason_words(reason: str) -> str:
    """Why an attempt failed; as the phone put it where we know no better words."""
    return REASONS.get(reason, reason)


def named(label: str) -> str:
    """A setting in a sentence: ``a 4096-bit key``, ``4096-bit, mutual``; its parts are not to be broken."""
    whole = label.replace("-", HYPHEN)
    return f"a{BLANK}{whole}{BLANK}key" if KEY_LABEL.fullmatch(label) else whole


# -- the headline


def headline(result: StormResult, figures: Sequence[Figures]) -> str:
    """The answer, in a sentence or two."""
    if not figures:
        return "Nothing was measured"
    if len(figures) == 1:
        return _alone(figures[0])
    failing = [each for each in figures if each.verdict is Verdict.UNFINISHED]
    best = quickest(figures)
    if best is None:
        return f"No setting gets all phones registered: at best {_most(figures)}"
    slowest = max((each for each in figures if each.all_s is not None), key=lambda each: each.span_s)
    opening = f"{_everybody(best)} back {duration(best.span_s)} after the power with {named(best.label)}"
    if failing:
        names = (
            " and ".join(named(each.label) for each in failing)
            if len(failing) <= 2
            else f"{len(failing)} of {len(figures)} settings"
        )
        never = f"with {names} they are not all back within {duration(min(each.end_s for each in failing))}"
        return f"{opening}; {never}"
    if slowest.span_s < NO_DIFFERENCE * best.span_s:
        return f"{opening}; the other settings take about as long"
    return f"{opening}, {duration(slowest.span_s)} with {named(slowest.label)}: {times_as_long(slowest, best)}"


def _alone(only: Figures) -> str:
    if only.all_s is None:
        reached = _reached(only)
        return f"{reached[0].upper()}{reached[1:]} after {duration(only.end_s)}"
    return f"{_everybody(only)} back {duration(only.span_s)} after the power"


def _most(figures: Sequence[Figures]) -> str:
    best = max(figures, key=lambda each: each.setting.registered_at_end / max(1, each.setting.phones))
    return f"{_reached(best)} after {duration(best.end_s)}, with {named(best.label)}"


def _everybody(figures: Figures) -> str:
    return "The phone is" if figures.setting.phones == 1 else f"All {_phones(figures)} are"


def _phones(figures: Figures) -> str:
    return plural(figures.setting.phones, "phone")


def _reached(figures: Figures) -> str:
    if not figures.setting.registered_at_end:
        return f"none of {_phones(figures)} registered"
    return f"{count(figures.setting.registered_at_end)} of {_phones(figures)} registered"


# -- one setting


def result_words(figures: Figures) -> str:
    """What stands beside its bar."""
    if figures.all_s is not None:
        return duration(figures.all_s)
    at_end, phones = figures.setting.registered_at_end, figures.setting.phones
    return f"{count(at_end)} of {count(phones)} after {duration(figures.end_s)}"


def comparison(figures: Figures, best: Figures | None) -> str:
    """How long all took, beside the quickest setting."""
    if figures.all_s is None:
        return _unfinished(figures)
    opening = f"{_everybody(figures)} registered after {duration(figures.all_s)}"
    if best is None or best is figures or not best.span_s:
        return f"{opening}."
    return f"{opening}, {times_as_long(figures, best)} as with {named(best.label)}."


def times_as_long(figures: Figures, best: Figures) -> str:
    """The ratio of two durations: ``40 times as long``, ``about as long``."""
    factor = figures.span_s / best.span_s if best.span_s else 1.0
    return "about as long" if factor < NO_DIFFERENCE else f"{ratio(factor)} times as long"


def _unfinished(figures: Figures) -> str:
    setting = figures.setting
    if figures.verdict is Verdict.INTERRUPTED:
        return f"Ended by hand after {duration(figures.end_s)}: {_reached(figures)} until then."
    if setting.first_attempt_ns is None:
        return f"Within {duration(figures.end_s)} not one phone came to try."
    number = count(setting.registered_at_end) if setting.registered_at_end else "none"
    opening = f"Not all in time: {number} of {_phones(figures)} registered within {duration(figures.end_s)}"
    timeouts = setting.timeouts
    if timeouts.get("handshake", 0) and timeouts["handshake"] == max(timeouts.values()):
        return f"{opening}; the handshakes outlast the phones' patience."
    return f"{opening}."


def remarks(figures: Figures) -> list[str]:
    """What else a planner has to know about this setting."""
    setting, said = figures.setting, []
    each_ms, capacity = setting.handshakes.cpu_ms.p50, figures.handshakes_per_minute
    if each_ms and capacity is not None:
        rate = count(capacity) if capacity >= 9.5 else f"{capacity:.1f}"
        all_s = setting.phones * each_ms / 1e3
        least = "" if setting.phones == 1 else f", and {duration(all_s)} for all phones at least"
        said.append(
            f"A handshake takes {duration(each_ms / 1e3)} of the gateway's CPU: {rate} a minute at most{least}."
        )
    if figures.fruitless and setting.attempts:
        times = figures.attempts_each
        each = "" if times is None else f"{times:.1f} attempts for each phone that got registered: "
        still = " or were still open at the end" if figures.fruitless > sum(setting.failures.values()) else ""
        said.append(
            f"{each}{count(figures.fruitless)} of {plural(setting.attempts, 'attempt')} came to nothing{still}; "
            f"what was in vain took {percent(figures.wasted)} of the CPU time."
        )
    if figures.lost_at_end:
        said.append(f"{plural(figures.lost_at_end, 'phone')} had lost the registration again at the end.")
    if setting.refused_connections:
        said.append(
            f"{plural(setting.refused_connections, 'connection')} closed at once: the gateway held as many, or as long "
            "a line, as it can serve."
        )
    if setting.watchdog_resets:
        said.append(f"{plural(setting.watchdog_resets, 'watchdog reset')} of gateway or phones.")
    return said


# -- parameters

ARRIVALS = {
    "at-once": "all at once; after a failure again every 10 s",
    "backoff": "all at once; after each failure later (RFC 5626 4.5)",
}

CUTS = {"all": "gateway and phones", "registrar": "the gateway alone, its phones were registered"}


def parameter_words(name: str, value: object) -> tuple[str, str]:
    """A parameter and its value for a reader; as they are where we know no better words."""
    shown = "yes" if value is True else "no" if value is False else str(value)
    match name:
        case "phones":
            return "Phones", shown
        case "key":
            return "Gateway's key", f"RSA {shown} bit"
        case "phone_key":
            return "Phones' keys", f"RSA {shown} bit"
        case "hash":
            return "Signatures of the certificates", shown.upper()
        case "mutual":
            return "Phones show certificates (mutual TLS)", shown
        case "profile":
            return "TLS profile", shown
        case "model":
            return "Gateway model", shown
        case "phone_model":
            return "Phone model", shown
        case "cut":
            return "Without power before", CUTS.get(shown, shown)
        case "arrival":
            return "Phones come", _arrival(shown)
        case "share":
            return "CPU share for background work", f"{shown}{BLANK}% at most"
        case "line":
            return (
                "Phones that may wait for a handshake",
                f"{shown} at most" if value else "as many as are served in time",
            )
        case "loss":
            return "Packets lost", f"{value * 100:g}{BLANK}%" if isinstance(value, int | float) else shown
        case "latency_ms":
            return "Network latency, one way", f"{shown}{BLANK}ms"
        case "for_s":
            until = "until all are registered and a minute more, 10 minutes at most"
            return "Duration", until if value is None else f"{shown}{BLANK}s"
    return name, shown


def _arrival(text: str) -> str:
    way, _, seconds = text.partition(":")
    if way == "spread":
        return f"spread over {seconds} s; after a failure again every 10 s"
    return ARRIVALS.get(text, text)
