"""The page: the answer first, then why, then what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from firmware.admin.markup import Content, Markup, document, element, join
from hil.storm.page.charts import attempts_chart, bar_part, registered_charts, waiting_chart
from hil.storm.page.closeup import closeups, scales_from
from hil.storm.page.figures import Figures, figures_from_result, quickest
from hil.storm.page.looks import look, name_in_legend
from hil.storm.page.modeldata import clock_words, model_section, models_of
from hil.storm.page.plot import paragraphs
from hil.storm.page.tables import (
    VERDICT_NOTES,
    cpu_table,
    failures_table,
    parameters_list,
    queues_table,
    repetition,
    verdict_table,
)
from hil.storm.page.units import duration, plural
from hil.storm.page.words import CUTS, QUEUES, comparison, headline, remarks, result_words, times_as_long
from hil.storm.result import StormResult

HERE = Path(__file__).parent

MOST_REMARKED = 8
"""Settings up to which each is remarked on beside its bar; with more, the tables say it."""


def page_from_result(result: StormResult) -> str:
    """The report as one HTML file that needs nothing else: no network, no script for what matters.

    The same result gives the same text. What depends on the host that made it (``host_s``) is not in it, so the same
    seed and options give the same page on every host.
    """
    everyone = figures_from_result(result)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="generator", content="gatebench storm"),
        element("title", _title(everyone)),
        # Content of ours alone, which an HTML parser reads without looking for references in it.
        element("style", Markup(_file("page.css"))),
    )
    script = element("script", Markup(_file("page.js")))
    body = element("body", _opening(result, everyone), _main(result, everyone), script)
    return document(head, body)


def _file(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _title(everyone: Sequence[Figures]) -> str:
    if not everyone:
        return "Storm report"
    labels = ", ".join(each.label for each in everyone[:4]) + (", …" if len(everyone) > 4 else "")
    return f"Storm of {plural(everyone[0].setting.phones, 'phone')}: {labels}"


# -- the answer


def _opening(result: StormResult, everyone: Sequence[Figures]) -> Markup:
    models = models_of(everyone, "model")
    note = clock_words(models.values())
    return element(
        "header",
        element("p", "Storm report", class_="kicker"),
        element("h1", headline(result, everyone)),
        element("p", _situation(everyone), class_="lead") if everyone else None,
        element("p", element("b", "Interrupted. "), "Not all that was asked for was measured.", class_="alarm")
        if result.interrupted
        else None,
        element("p", note, class_="caution") if note else None,
    )


def _situation(everyone: Sequence[Figures]) -> str:
    first = everyone[0].setting
    models = ", ".join(name if name.endswith(".toml") else name.upper() for name in models_of(everyone, "model"))
    cut = CUTS.get(str(first.parameters.get("cut")), CUTS["all"])
    come, connect, register = (
        ("comes", "connects", "registers") if first.phones == 1 else ("come", "connect", "register")
    )
    return (
        f"{plural(first.phones, 'phone')} {come} back to one gateway ({models}) after a power cut of {cut}, "
        f"{connect} over TLS and {register}. {plural(len(everyone), 'setting')}, in virtual time."
    )


def _main(result: StormResult, everyone: Sequence[Figures]) -> Markup:
    if not everyone:
        return element("main", _section("How to do it again", repetition(result, everyone)))
    key, columns = closeups(everyone)
    failures, cpu = failures_table(everyone), cpu_table(everyone)
    queues = queues_table(everyone, scales_from(everyone).queues, QUEUES)
    return element(
        "main",
        _section("Until everybody is back", _results(everyone)),
        _section("In figures", verdict_table(everyone), element("p", VERDICT_NOTES, class_="note"), failures),
        _section("Registered phones over time", element("div", registered_charts(everyone), class_="panels")),
        _section(
            "Waiting and giving up",
            element("div", waiting_chart(everyone), attempts_chart(everyone), class_="panels"),
        ),
        _section("Inside the gateway", _closeup_note(everyone), key, columns, cpu, queues),
        _section("What was set", parameters_list(everyone)),
        _section("What it rests on", *_models(everyone)),
        _section("How to do it again", repetition(result, everyone)),
    )


def _section(title: str, *content: Content) -> Markup:
    return element("section", element("h2", title), *content)


# -- bars with the verdict


def _results(everyone: Sequence[Figures]) -> Markup:
    longest_s = max(each.span_s for each in everyone) or 1.0
    best = quickest(everyone)
    rows = [_result(each, everyone, best, longest_s) for each in everyone]
    key = element(
        "p",
        "Bars: time after the power came back, on one scale; the ",
        element("b", "darker"),
        " parts end when half and when 90 % of the phones are registered, hatched is time that was not enough.",
        class_="note",
    )
    return join(element("ol", *rows, class_="results" if len(everyone) <= MOST_REMARKED else "results many"), key)


def _result(each: Figures, everyone: Sequence[Figures], best: Figures | None, longest_s: float) -> Markup:
    verdict = each.verdict
    mark = element("span", verdict.mark, aria_hidden="true")
    chip = element("span", mark, f" {verdict.words}", class_=f"chip {verdict.name.lower()}")
    bar = element("div", *_bar(each, longest_s), class_="bar", aria_hidden="true")
    return element(
        "li",
        element("div", element("h3", name_in_legend(each, everyone)), chip, class_="name"),
        element("div", bar, element("strong", result_words(each)), class_="measure"),
        element("div", *_findings(each, everyone, best), class_="findings"),
        class_=look(each),
    )


def _findings(each: Figures, everyone: Sequence[Figures], best: Figures | None) -> list[Markup]:
    if len(everyone) <= MOST_REMARKED:
        return [element("p", comparison(each, best), class_="finding"), paragraphs(remarks(each))]
    if best is None or best is each or each.all_s is None:
        return []
    return [element("p", times_as_long(each, best))]


def _bar(each: Figures, longest_s: float) -> list[Markup]:
    """Until half, until 90 %, until all; or until the end, hatched."""
    parts, before_s = [], 0.0
    for rank in ("50", "90", "100"):
        reached_s = each.setting.registration_s.get(rank)
        if reached_s is not None:
            parts.append(bar_part((reached_s - before_s) / longest_s, f"r{rank}"))
            before_s = reached_s
    if each.all_s is None:
        parts.append(bar_part((each.end_s - before_s) / longest_s, "never"))
    return parts


# -- what it rests on


def _closeup_note(everyone: Sequence[Figures]) -> Markup:
    if len(everyone) == 1:
        return element("p", "A dashed line: the last phone is registered.", class_="note")
    axis = (
        "All on one axis of time."
        if scales_from(everyone).common_axis
        else "Each over its own time, as the strip above its charts shows beside the longest "
        f"({duration(max(each.shown_s for each in everyone))}); heights are on one scale."
    )
    marks = "Waiting for TLS has the same axis everywhere. A dashed line: the last phone is registered."
    return element("p", f"{axis} {marks}", class_="note")


def _models(everyone: Sequence[Figures]) -> list[Markup]:
    bits = sorted({value for each in everyone for value in _bits(each)})
    hashes = sorted({str(each.setting.parameters.get("hash", "")) for each in everyone})
    gateways = models_of(everyone, "model")
    parts = [model_section(name, model, bits, hashes) for name, model in gateways.items()]
    phones = [
        f"{model.product} at {model.hz // 1_000_000} MHz" + (" (assumed)" if "cpu.mhz" in model.assumed else "")
        for model in models_of(everyone, "phone_model").values()
        if model is not None
    ]
    if phones:
        parts.append(element("p", f"Phones: {', '.join(phones)}.", class_="note"))
    return parts


def _bits(each: Figures) -> list[int]:
    values = (each.setting.parameters.get("key"), each.setting.parameters.get("phone_key"))
    return [value for value in values if isinstance(value, int)]
