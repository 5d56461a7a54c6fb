"""Which shape: every shape against atan, each at its own best, at one width, and as libraries ship it."""

from collections.abc import Iterable, Sequence

from sgbench.plots.estimate import Estimate
from sgbench.study_runner.cells import Cell
from study.reporting.pages.shapes import SHAPES
from study.reporting.pages.text import StudyPage, StudyPicture, cell_text, details, interval, table
from study.reporting.run_table import DEFAULT_MARGIN, RunTable
from study.surrogates.analysis.comparisons import LIBRARY_DEFAULTS, REFERENCE, Compared, compared_look, looks, own_best
from study.surrogates.analysis.evidence import SurrogateEvidence
from study.surrogates.analysis.pages import between_shapes, edges
from study.surrogates.analysis.plots.forest import ForestPanel, ForestRow, forest_figure

NAME = "tuned.md"
TITLE = "How much is left after tuning?"
LIBRARY: tuple[Cell, ...] = tuple({"surrogate": name, "width_fwhm": None} for name in LIBRARY_DEFAULTS)
CONTROLS: tuple[Cell, ...] = ({"surrogate": "zero", "width_fwhm": None}, {"surrogate": "constant", "width_fwhm": None})
HEADER = ("task", "method", "difference", "margin", "p differs", "p equal", "seeds", "verdict")


def page(evidence: SurrogateEvidence) -> StudyPage:
    if not evidence.stored("A3b"):
        return StudyPage(NAME, TITLE, (evidence.not_stored("A3b"),))
    tasks = evidence.loaded.study.blocks["A3b"].tasks
    best = {task: looks(evidence.scores, task, _own(evidence, task)) for task in tasks}
    best = {task: tables for task, tables in best.items() if tables and len(_own(evidence, task)) == len(SHAPES)}
    lacking = [task for task in tasks if task not in best]
    last = {task: tables[-1] for task, tables in best.items()}
    parts: list[str] = []
    if lacking:
        parts.append(f"Tasks without a complete look at the shapes' own best cells: {', '.join(lacking)}.")
    pictures: list[StudyPicture] = []
    if last:
        panels = forest(evidence, last)
        picture = StudyPicture(
            "tuned.png",
            "Test accuracy of five shapes minus that of atan, each at its own best, by task.",
            panels,
            lambda: forest_figure(panels, margin=DEFAULT_MARGIN["accuracy"], reference=REFERENCE),
        )
        pictures.append(picture)
        parts += [
            _message(evidence, last),
            picture.markdown,
            "F3. Each shape minus atan, each at its own best cell, on seeds that nobody had seen. Intervals are of "
            f"{100 * (1 - 2 * evidence.rules.look_level):.3g} %, as two one-sided tests need. Tasks that are "
            "solved or not are in the table below alone.",
            *edges.sentence(evidence.loaded.study, evidence.scores.settled),
            *between_shapes.paragraphs(evidence, last),
        ]
    parts += _verdict_tables(evidence, best)
    return StudyPage(NAME, TITLE, tuple(parts), tuple(pictures))


def _own(evidence: SurrogateEvidence, task: str) -> list[Cell]:
    return list(own_best(evidence.scores, task).values())


def forest(evidence: SurrogateEvidence, tables: dict[str, RunTable]) -> list[ForestPanel]:
    study = evidence.loaded.study
    comparisons = {
        task: {one.method: one for one in compared_look(evidence.scores, task, SHAPES, look, REFERENCE, evidence.rules)}
        for task, look in tables.items()
        if study.tasks[task].outcome == "accuracy"
    }
    return [
        ForestPanel(
            shape,
            tuple(
                ForestRow(f"{task}: {evidence.title(task)}", _estimate(named[shape]), named[shape].verdict.word)
                for task, named in comparisons.items()
            ),
        )
        for shape in SHAPES
        if shape != REFERENCE
    ]


def _estimate(one: Compared) -> Estimate:
    """Draw a comparison: its difference, and the ends of its interval or the difference again."""
    verdict = one.verdict
    low = verdict.difference if verdict.low is None else verdict.low
    return Estimate(verdict.difference, low, verdict.difference if verdict.high is None else verdict.high)


def _message(evidence: SurrogateEvidence, tables: dict[str, RunTable]) -> str:
    words = [one.verdict.word for one in _compared(evidence, tables)]
    seeds = sorted({look.planned for look in tables.values()})
    said = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return (
        f"With each shape at its own best width and learning rate, {words.count('equal')} of {len(words)} "
        f"comparisons with atan are equal within the margin, {words.count('better')} are better, "
        f"{words.count('worse')} worse and {words.count('open')} open ({len(tables)} tasks, {said} seeds)."
    )


def _compared(evidence: SurrogateEvidence, tables: dict[str, RunTable]) -> list[Compared]:
    return [
        one
        for task, look in tables.items()
        for one in compared_look(evidence.scores, task, SHAPES, look, REFERENCE, evidence.rules)
    ]


def _verdict_tables(evidence: SurrogateEvidence, best: dict[str, list[RunTable]]) -> list[str]:
    error = {"paired": "the pair's own, with Holm's correction", "pooled": "pooled, with Dunnett's correction"}
    parts = [
        "## Table 2: verdicts",
        f"Better, worse or equal within the margin at a level of {evidence.rules.look_level:g} a look; the error "
        f"is {error[evidence.rules.error]}. Where a task is solved or not, differences are shares of solved runs, "
        "by Boschloo's test and Newcombe's interval. Open means that neither is shown.",
    ]
    looked = [
        (look.planned, one)
        for task, tables in best.items()
        for look in tables
        for one in _compared(evidence, {task: look})
    ]
    if looked:
        parts += ["### Own best, against atan at its own best", _table([one for _, one in looked])]
        parts.append(details("The own best cells", _cells(evidence, best)))
    width_one: list[Cell] = [{"surrogate": shape, "width_fwhm": 1.0} for shape in SHAPES]
    groups: list[tuple[str, Sequence[Cell], str]] = [
        ("Width 1 for all, against atan at width 1", width_one, REFERENCE),
        ("As snnTorch ships them, against its default atan", LIBRARY, "snntorch/atan"),
    ]
    for title, cells, reference in groups:
        comparisons = _group(
            evidence, {task: list(cells) for task in evidence.loaded.study.blocks["A3b"].tasks}, reference
        )
        if comparisons:
            parts += [f"### {title}", _table(comparisons)]
    against_best = {task: [own_best(evidence.scores, task)[REFERENCE], *LIBRARY, *CONTROLS] for task in best}
    comparisons = _group(evidence, against_best, REFERENCE)
    if comparisons:
        parts += ["### Library defaults and controls, against atan at its own best", _table(comparisons)]
    return parts


def _group(evidence: SurrogateEvidence, cells: dict[str, list[Cell]], reference: str) -> list[Compared]:
    compared = []
    for task, several in cells.items():
        names = [str(cell["surrogate"]) for cell in several]
        for look in looks(evidence.scores, task, several):
            compared += compared_look(evidence.scores, task, names, look, reference, evidence.rules)
    return compared


def _table(comparisons: Sequence[Compared]) -> str:
    rows = []
    for one in comparisons:
        verdict = one.verdict
        digits = 2 if verdict.margin < 1 else 1
        word = verdict.word
        if word == "open" and verdict.seeds_needed is not None:
            word = f"open (needs {verdict.seeds_needed} seeds)"  # type: ignore[assignment]
        rows.append(
            [
                *(one.task, one.method, interval(verdict.difference, verdict.low, verdict.high, digits)),
                *(f"{verdict.margin:g}", verdict.p_differs, verdict.p_equal, one.seeds, word),
            ]
        )
    return table(HEADER, rows)


def _cells(evidence: SurrogateEvidence, tasks: Iterable[str]) -> str:
    rows = [
        [task, shape, cell_text(cell, without=["surrogate"])]
        for task in tasks
        for shape, cell in own_best(evidence.scores, task).items()
    ]
    return table(["task", "shape", "cell"], rows)
