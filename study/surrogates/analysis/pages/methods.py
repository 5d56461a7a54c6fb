"""Methods compared with one of them, task by task: what pages on learning rules and on neuron models share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Estimate, Series, ends_of, value_text
from sgbench.plots.figure import charts_figure
from sgbench.study_runner.cells import Cell
from study.reporting.pages.regime_map import score
from study.reporting.pages.text import StudyPicture, interval, table
from study.reporting.run_table import RunTable
from study.surrogates.analysis.comparisons import Compared, compared_look, looks
from study.surrogates.analysis.evidence import SurrogateEvidence

PANEL = 3.2  # inches


@dataclass(frozen=True)
class MethodPanel:
    """Holds one number of each method, in the order of the methods; None where it is not known."""

    title: str  # of the panel
    unit: str  # below its axis
    values: tuple[Estimate | None, ...]  # with their intervals
    # accuracy, whose axis is one of errors; share, from 0 to 100; or cost, of which less is better
    kind: Literal["accuracy", "share", "cost"] = "accuracy"


def methods_charts(names: Sequence[str], panels: Sequence[MethodPanel], caption: str) -> Charts:
    """Build a panel a score or cost, methods as rows; a dashed line goes through the first one's number."""
    return Charts(caption, tuple(_chart(names, panel) for panel in panels))


def _chart(names: Sequence[str], panel: MethodPanel) -> Chart:
    """Make the chart of one panel: a row a method with its interval, and a line through the first method's number."""
    points = tuple(
        ChartPoint(
            estimate.value, row, f"{name} {value_text(estimate.value, ends_of(estimate))}", x_ends=ends_of(estimate)
        )
        for row, (name, estimate) in enumerate(zip(names, panel.values, strict=True))
        if estimate is not None
    )
    first = panel.values[0]
    is_cost = panel.kind == "cost"
    series = Series(panel.unit, points, tone="good" if is_cost else "bad", marker="s" if is_cost else "")
    most = 1.05 * max((end for point in points for end in (point.x, *(point.x_ends or ()))), default=1.0)
    limits = {"accuracy": None, "share": (-3.0, 103.0), "cost": (0.0, most)}
    across = ChartAxis(panel.unit, is_error=panel.kind == "accuracy", ends=limits[panel.kind])
    rows, lines = ChartAxis(names=tuple(names)), () if first is None else (first.value,)
    return Chart(panel.title, across, rows, (series,), x_lines=lines)


def latest_looks(
    evidence: SurrogateEvidence, cells: Mapping[str, Mapping[str, Cell]], names: Sequence[str], *, start: str = "A3b"
) -> dict[str, RunTable]:
    """Collect the latest complete look at some methods, a row a method; tasks without one are left out."""
    tables = {}
    for task, by_name in cells.items():
        rows = [by_name[name] for name in names if name in by_name]
        complete = looks(evidence.scores, task, rows, start=start) if len(rows) == len(names) else []
        if complete:
            tables[task] = complete[-1]
    return tables


def compared_looks(evidence: SurrogateEvidence, tables: Mapping[str, RunTable], names: Sequence[str]) -> list[Compared]:
    """Compare methods with the first one of `names` on each task."""
    compared = []
    for task, look in tables.items():
        compared += compared_look(evidence.scores, task, names, look, names[0], evidence.rules)
    return compared


def score_panel(evidence: SurrogateEvidence, task: str, look: RunTable) -> MethodPanel:
    """Make the panel of a task's scores: accuracies, or shares of solved runs."""
    title = evidence.title(task)
    values = tuple(score(list(runs)) for runs in look.runs)
    if evidence.loaded.study.tasks[task].outcome == "solved":
        return MethodPanel(title, "runs solved, %", values, kind="share")
    return MethodPanel(title, "accuracy, %", values)


def method_pictures(
    names: Sequence[str], drawn: Mapping[str, tuple[str, Sequence[MethodPanel]]]
) -> tuple[StudyPicture, ...]:
    """Make the pictures; `drawn` maps the name of each file to its caption and panels."""
    pictures = []
    for file, (says, panels) in drawn.items():
        charts = methods_charts(names, panels, says)
        draw = lambda charts=charts: charts_figure(charts, columns=3, panel=(PANEL, 0))  # noqa: E731
        pictures.append(StudyPicture(file, says, charts, draw))
    return tuple(pictures)


def told_apart(compared: Sequence[Compared]) -> str:
    """List for each method how its comparison with the reference ends on each task."""
    by_method: dict[str, list[str]] = {}
    for comparison in compared:
        by_method.setdefault(comparison.method, []).append(f"{comparison.verdict.word} on {comparison.task}")
    return "\n".join(f"- **{name}**: {', '.join(words)}." for name, words in by_method.items())


def difference_table(compared: Sequence[Compared], kind: str, reference: str) -> str:
    """Write a row for each comparison; `kind` heads the column of methods, e.g. "rule"."""
    rows = []
    for comparison in compared:
        verdict = comparison.verdict
        difference = interval(verdict.difference, verdict.low, verdict.high, 2 if verdict.margin < 1 else 1)
        row = [comparison.task, comparison.method, difference, f"{verdict.margin:g}"]
        rows.append([*row, verdict.p_differs, verdict.p_equal, comparison.seeds, verdict.word])
    header = ["task", kind, f"minus {reference}", "margin", "p differs", "p equal", "seeds", "verdict"]
    return table(header, rows)
