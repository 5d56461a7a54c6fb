"""Builds the table, the chart and the texts of published figures beside ours, from the values that were measured."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series, value_text
from sgbench.reproduction.page import AGREES, ASKED, HEAD, items, ours, rows_of
from sgbench.reproduction.runs import ReproductionResult
from sgbench.reproduction.verdict import Judged
from sgbench.tables import NONE
from sgbench.tables.table import Cell, Column, Table

NUMBERED = ("seeds", "minutes")
LEAST, MOST = 0.1, 10.0
"""Ends of the axis of ratios; ratios beyond are drawn at its end."""


@dataclass(frozen=True)
class ReproductionText:
    """Holds the text on one reproduction."""

    name: str
    line: str  # describes it
    items: tuple[str, ...]
    failing: bool  # whether one of its figures does not agree


@dataclass(frozen=True)
class Reproductions:
    """Holds the figures of all reproductions, and the text on each reproduction."""

    summary: str  # how many figures agree, in sentences
    table: Table
    charts: Charts
    texts: tuple[ReproductionText, ...]  # those with a failing figure first


def reproductions_of(results: Sequence[ReproductionResult]) -> Reproductions:
    """Collect what the site shows of reproductions: a summary, a table with failures first, a chart and texts."""
    figures = [judged for result in results for judged in result.judged]
    agreeing = [judged for judged in figures if judged.verdict == AGREES]
    lines = [
        (judged.verdict == AGREES, [result.reproduction.name, *row[1:]])
        for result in results
        for judged, row in zip(result.judged, rows_of(result), strict=True)
    ]
    lines.sort(key=lambda line: line[0])
    table = Table(
        f"{len(agreeing)} of {len(figures)} figures agree; those that do not come first",
        tuple(Column(title, is_number=title in NUMBERED) for title in HEAD),
        tuple(tuple(_cell(title, text) for title, text in zip(HEAD, row, strict=True)) for _, row in lines),
        is_filtered=True,
    )
    published = Counter(judged.verdict == AGREES for judged in figures if judged.figure.whose == "published")
    summary = (
        f"{published.total()} of {len(figures)} figures compare with a number that somebody published, and "
        f"{published[True]} of these agree. The others are held to a bound of ours, or to one that the source gives "
        f"otherwise. Of all figures {len(agreeing)} agree.{_revised(agreeing)}"
    )
    texts = sorted(map(_text, results), key=lambda text: not text.failing)
    return Reproductions(summary, table, _charts(results), tuple(texts))


def _revised(agreeing: Sequence[Judged]) -> str:
    counts = Counter(judged.figure.revised for judged in agreeing if judged.figure.revised)
    said = " and ".join(f"{what} of {count}" for what, count in sorted(counts.items(), reverse=True))
    return f" Of those, {said} were changed or set once values were known." if said else ""


def _cell(title: str, text: str) -> Cell:
    """Make a cell of the column `title`, sorted by its number in columns of numbers."""
    is_number = title in NUMBERED and text not in ("", NONE)
    return Cell(text or NONE, float(text) if is_number else None)


def _text(result: ReproductionResult) -> ReproductionText:
    name = result.reproduction.name
    lines = tuple(items(result, asked=f"{ASKED}: `docs/reproductions/{name}.md`"))
    failing = any(judged.verdict != AGREES for judged in result.judged)
    return ReproductionText(name, result.reproduction.line, lines, failing)


def _charts(results: Sequence[ReproductionResult]) -> Charts:
    """Draw our figures as multiples of the published ones; those without a positive ratio are only counted."""
    points: dict[bool, list[ChartPoint]] = {True: [], False: []}
    names: list[str] = []
    every = [(result.reproduction.name, judged) for result in results for judged in result.judged]
    for name, judged in sorted(every, key=lambda pair: pair[1].verdict == AGREES):
        number, mean, spread = judged.figure.bound, judged.ours, judged.deviation
        if mean is None or number <= 0 or mean <= 0:
            continue
        title = f"{name}: {judged.figure.line}"
        ends = ((mean - spread) / number, (mean + spread) / number) if spread else None
        said = f"published {judged.figure.theirs}, ours {ours(judged)}, {value_text(mean / number)} times as much"
        point = ChartPoint(mean / number, len(names), f"{name}, {judged.figure.line}: {said}", x_ends=ends)
        points[judged.verdict == AGREES].append(point)
        names.append(title)
    series = (
        Series("agrees", tuple(points[True]), tone="good"),
        Series("does not agree", tuple(points[False]), tone="bad"),
    )
    caption = (
        "Ours as a multiple of what was published, or of the bound that was; whiskers are one standard deviation "
        f"over seeds. {len(every) - len(names)} figures have no ratio: they are 0, below 0 or not measured."
    )
    ratio_axis = ChartAxis("ours over published", is_log=True, ends=(LEAST, MOST))
    chart = Chart("Ours over published", ratio_axis, ChartAxis(names=tuple(names)), series, x_lines=(1.0,))
    return Charts(caption, (chart,))
