"""Methods compared with one of them, task by task: what pages on learning rules and on neuron models share."""

from collections.abc import Mapping, Sequence

from sgbench.plots.figure import charts_figure
from sgbench.study_runner.cells import Cell
from study.reporting.pages.regime_map import score
from study.reporting.pages.text import StudyPicture, interval, table
from study.reporting.run_table import RunTable
from study.surrogates.analysis.comparisons import Compared, compared_look, looks
from study.surrogates.analysis.evidence import SurrogateEvidence
from study.surrogates.analysis.plots.methods import PANEL, MethodPanel, methods_charts


def latest_looks(
    evidence: SurrogateEvidence, cells: Mapping[str, Mapping[str, Cell]], names: Sequence[str], *, start: str = "A3b"
) -> dict[str, RunTable]:
    """Collect the latest complete look at some methods, a row a method; tasks without one are left out."""
    tables = {}
    for task, of in cells.items():
        rows = [of[name] for name in names if name in of]
        found = looks(evidence.scores, task, rows, start=start) if len(rows) == len(names) else []
        if found:
            tables[task] = found[-1]
    return tables


def compared_looks(evidence: SurrogateEvidence, tables: Mapping[str, RunTable], names: Sequence[str]) -> list[Compared]:
    return [
        one
        for task, look in tables.items()
        for one in compared_look(evidence.scores, task, names, look, names[0], evidence.rules)
    ]


def score_panel(evidence: SurrogateEvidence, task: str, look: RunTable) -> MethodPanel:
    title = evidence.title(task)
    values = tuple(score(list(runs)) for runs in look.runs)
    if evidence.loaded.study.tasks[task].outcome == "solved":
        return MethodPanel(title, "runs solved, %", values, kind="share")
    return MethodPanel(title, "accuracy, %", values)


def method_pictures(
    names: Sequence[str], drawn: Mapping[str, tuple[str, Sequence[MethodPanel]]]
) -> tuple[StudyPicture, ...]:
    """Make a picture of each group of panels, which `drawn` has by the name of a file, with what is seen."""
    made = []
    for file, (says, panels) in drawn.items():
        charts = methods_charts(names, panels, says)
        draw = lambda charts=charts: charts_figure(charts, columns=3, panel=(PANEL, 0))  # noqa: E731
        made.append(StudyPicture(file, says, charts, draw))
    return tuple(made)


def told_apart(compared: Sequence[Compared]) -> str:
    """List for each method how its comparison with the reference ends on each task."""
    by_method: dict[str, list[str]] = {}
    for one in compared:
        by_method.setdefault(one.method, []).append(f"{one.verdict.word} on {one.task}")
    return "\n".join(f"- **{name}**: {', '.join(words)}." for name, words in by_method.items())


def difference_table(compared: Sequence[Compared], kind: str, reference: str) -> str:
    rows = []
    for one in compared:
        verdict = one.verdict
        digits = 2 if verdict.margin < 1 else 1
        rows.append(
            [
                *(one.task, one.method, interval(verdict.difference, verdict.low, verdict.high, digits)),
                *(f"{verdict.margin:g}", verdict.p_differs, verdict.p_equal, one.seeds, verdict.word),
            ]
        )
    header = ["task", kind, f"minus {reference}", "margin", "p differs", "p equal", "seeds", "verdict"]
    return table(header, rows)
