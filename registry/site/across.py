"""Builds the site's page of surrogates over all tasks, and their comparison, which the front page uses too."""

import json
from collections.abc import Iterator
from statistics import fmean

from registry.site.answer import FrontPageAnswer, duels_table
from registry.site.method_tables import MEAN
from registry.site.render import Page
from registry.site.sources import ShownRow, Sources
from sgbench.errors import InputError
from sgbench.leaderboard.differing_settings import parameter_text
from sgbench.leaderboard.families import MIN_FOR_RANKS, AcrossTasks, across_tasks, scores_by_task
from sgbench.leaderboard.pages.explain import figures
from sgbench.leaderboard.pages.picture import mean_ranks, profiles
from sgbench.plots.board_charts import across_charts
from sgbench.plots.chart import Charts
from sgbench.plots.layout import laid_out
from sgbench.records.spec import GROUPS, Method
from sgbench.statistics.intervals import t_quantile
from sgbench.tables import NONE
from sgbench.tables.table import Cell, Column, Table, number, numbers, texts

CAPTION = (
    "How many runs lie above each normalised score, and mean ranks over tasks: surrogates whose whiskers meet do "
    "not differ significantly."
)

MAP_CAPTION = (
    "Surrogates and boards: the darker, the further from guessing (0 %) to perfection (100 %); each by the setting "
    "that validation selects"
)
EACH = "each task"
"""Title of the group of columns that a reader shows or hides."""


def compare_surrogates(sources: Sources) -> AcrossTasks | str:
    """Compare surrogates over all boards, or return why they cannot be compared."""
    measured = {name: methods for name, methods in sources.ranked.items() if methods}
    measures = {board.protocol.name: board.measure for board in sources.boards}
    try:
        comparison = across_tasks(measured, measures, by=("surrogate",))
    except InputError as error:
        return str(error)
    if len(comparison.families) < MIN_FOR_RANKS:
        return f"{comparison.families[0].name} alone is on every task"
    return comparison


def across_page(comparison: AcrossTasks | str, answer: FrontPageAnswer, sources: Sources) -> Page:
    """Build the page of surrogates over all tasks, with comparisons of methods on each board.

    `comparison`: surrogates over all tasks, or why they cannot be compared; `answer`: the answer of the front page,
    whose evidence the page repeats in full; `sources`: boards and catalogue.
    """
    tables: dict[str, Table | None] = {}
    values: dict[str, object] = {"why_not": comparison}
    if isinstance(comparison, AcrossTasks):
        tables[""] = _surrogates_table(comparison, sources)
        values = {
            "why_not": "",
            "table": tables[""],
            "charts": laid_out(across_charts(profiles(comparison), mean_ranks(comparison), caption=CAPTION)),
            "left_out": comparison.left_out,
            "alone": comparison.alone,
            "mixed": comparison.mixed,
            "ranks": _rank_sentence(comparison),
        }
    tables["map"] = heat_map(sources)
    tables |= {"differences": duels_table(answer), "seeds": answer.powers}
    return Page(
        "across.html",
        "Across tasks",
        "Surrogates over all tasks: interquartile means, mean ranks, and which differ significantly.",
        "across.html",
        {
            **values,
            "heat_map": tables["map"],
            "duels": tables["differences"],
            "powers": answer.powers,
            "advice": answer.advice,
            "doubts": answer.doubts,
        },
        "across.html",
        tables={name: table for name, table in tables.items() if table is not None},
    )


def heat_map(sources: Sources) -> Table | None:
    """Build the heat map of surrogates and boards, those on most boards first; None without a board that compares."""
    measured = {board.protocol.name: sources.ranked[board.protocol.name] for board in sources.boards if board.rows}
    scores = scores_by_task(
        {name: methods for name, methods in measured.items() if methods},
        {board.protocol.name: board.measure for board in sources.boards},
        by=("surrogate",),
    )
    names = {name for by_name in scores.values() for name in by_name}
    if len(names) < MIN_FOR_RANKS:
        return None

    def most_boards_then_best(name: str) -> tuple[int, float, str]:
        values = [by_name[name] for by_name in scores.values() if name in by_name]
        return -len(values), -fmean(values), name

    rows = []
    for name in sorted(names, key=most_boards_then_best):
        cells = [Cell(name, link=sources.page_of("surrogate", name), is_code=True)]
        for by_name in scores.values():
            value = by_name.get(name)
            text = NONE if value is None else f"{100 * value:.1f}"
            cells.append(Cell(text, value, shade=value))
        rows.append(tuple(cells))
    return Table(MAP_CAPTION, (*texts("surrogate"), *numbers(*scores)), tuple(rows))


def _surrogates_table(comparison: AcrossTasks, sources: Sources) -> Table:
    """Return the table of surrogates over all tasks, with their mean on each."""
    columns = (
        *texts("surrogate"),
        *numbers("interquartile mean, %"),
        *texts("95 % interval"),
        *numbers("mean rank"),
        *numbers(*comparison.tasks, group=EACH),
    )
    varies = any(count > 1 for family in comparison.families for count in family.settings)
    rows = []
    for family in comparison.families:
        page = sources.page_of("surrogate", family.name)
        control = " (control)" if sources.is_control(family.name) else ""
        cells = [
            Cell(family.name + control, link=page, is_code=True),
            number(family.interquartile_mean, f"{100 * family.interquartile_mean:.2f}"),
            Cell(f"{100 * family.low:.2f} to {100 * family.high:.2f}"),
            number(family.mean_rank, NONE if family.mean_rank is None else f"{family.mean_rank:.2f}"),
        ]
        means = [float(task.mean()) for task in family.tasks]
        cells += [number(value, f"{100 * value:.2f}") for value in means]
        rows.append((*cells, *([Cell(" ".join(map(str, family.settings)))] if varies else [])))
    columns += (Column("settings, task by task", group=EACH),) if varies else ()
    caption = "Scores between guessing (0 %) and perfection (100 %), each by the setting that validation selects"
    return Table(caption, columns, tuple(rows), is_filtered=len(rows) > 1)


def _rank_sentence(comparison: AcrossTasks) -> str:
    """Say whether the mean ranks differ, and by how much they have to."""
    if comparison.ranks is None:
        return "One task has no ranks to average."
    return (
        f"Over {len(comparison.tasks)} tasks Friedman's test gives p = {comparison.ranks.p:.2g}; mean ranks less "
        f"than {comparison.ranks.critical_difference:.2f} apart do not differ significantly (Nemenyi, 5 %)."
    )


PATH = "compare.html"
CONFIDENCE = 0.95
DIGITS = 6  # significant digits of a curve's numbers


def comparison_page(sources: Sources) -> Page:
    """Build the page that compares any two methods of a board, whose ids are in the page's address.

    It contains the quantiles of Student's t up to the largest count of seeds in `sources`.
    """
    most = max((len(shown.row.scores) for shown in sources.shown.values()), default=2)
    quantiles = [f"{t_quantile(CONFIDENCE, degrees):.9g}" for degrees in range(1, max(most, 2))]
    return Page(
        PATH,
        "Compare two methods",
        "Two methods of a board: their difference with its interval, curves, costs, and the settings that differ.",
        "compare.html",
        {"quantiles": " ".join(quantiles)},
        "boards.html",
    )


def method_script(method: Method, shown: ShownRow, curves: Charts) -> bytes:
    """Write the data of a method for the page as a script, since a page opened from disk may load no other files."""
    row, measure = shown.row, shown.board.measure
    unit = 1.0 if measure.is_loss else 100.0
    value = {
        "id": row.method_id,
        "board": shown.board.protocol.name,
        "label": row.label,
        "isLoss": measure.is_loss,
        "scores": {str(seed): unit * score for seed, score in sorted(row.scores.items())},
        "figures": figures(row, shown.board),
        "settings": dict(_settings(method)),
        "curves": [
            {
                "title": panel.title,
                "axis": panel.y.label,
                "isLog": panel.y.is_log,
                "points": [
                    [float(f"{number:.{DIGITS}g}") for number in (point.x, point.y, *(point.y_ends or ()))]
                    for series in panel.series
                    if series.name == MEAN
                    for point in series.points
                ],
            }
            for panel in curves.panels
        ],
    }
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"(self.methods ??= []).push(\n{data}\n);\n".encode()


def _settings(method: Method) -> Iterator[tuple[str, str]]:
    """Yield the choice of each group, and each parameter as group.name, with its value as text."""
    for group in GROUPS:
        yield group, method.choices[group]
        for key, value in method.parameters[group].items():
            yield f"{group}.{key}", parameter_text(value)
    if method.clip_norm is not None:
        yield "clip_norm", f"{method.clip_norm:g}"
