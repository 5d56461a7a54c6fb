"""A second look at what the map left open: its first seeds and new ones in one table (amendment 13)."""

from dataclasses import replace

from sgbench.study_runner.definition import Purpose
from sgbench.study_runner.scores import StudyScores
from study.reporting.run_table import RunTable, run_table
from study.reporting.verdicts import HypothesisResult
from study.surrogates.analysis.comparisons import MAP, Rules

PURPOSE: Purpose = "second_look"
BLOCKS = {"H1": "I2", "H3": "I3", "H4": "I4"}
"""By hypothesis, the block with its new seeds."""
REGISTERED, DRAWS = {"H1": 191, "H3": 0, "H4": 198}, 200
"""In how many of the draws a second look decides, after the correction, as docs/preregistration.md states it."""


def with_new_seeds(scores: StudyScores, hypothesis: str, first: dict[str, RunTable]) -> dict[str, RunTable]:
    """Add the seeds of the second look to tables of the first one; without all of its runs there is none.

    `hypothesis`: that is looked at again.
    """
    name = BLOCKS[hypothesis]
    if name not in scores.study.blocks:
        return {}  # a study that extends this one has no second look
    block = scores.study.blocks[name]
    seeds = block.seeds.values
    tables = {}
    for place, table in first.items():
        task = place.partition(" ")[0]
        if task not in block.tasks:
            continue
        tables[place] = run_table(scores, task, PURPOSE, list(table.cells), seeds, start=MAP)
    if not all(more.complete for more in tables.values()):
        return {}
    return {place: _joined(first[place], more) for place, more in tables.items()}


def looked_again(result: HypothesisResult, tables: dict[str, RunTable], rules: Rules) -> HypothesisResult:
    counts = {place.partition(" ")[0]: len(table.seeds) for place, table in tables.items()}
    seeds = ", ".join(f"{task} {count}" for task, count in counts.items())
    block = BLOCKS[result.name]
    return replace(
        result,
        cells=f"{result.cells}; second look in {block}",
        seeds=seeds,
        level_factor=rules.level / rules.look_level,
    )


def _joined(first: RunTable, more: RunTable) -> RunTable:
    runs = tuple((*row, *new) for row, new in zip(first.runs, more.runs, strict=True))
    return RunTable(first.cells, (*first.seeds, *more.seeds), runs, first.planned + more.planned, 0)
