"""Does the recommendation hold on a task that it was not fitted to: tasks left out, and tasks of a later block."""

from collections.abc import Mapping

import numpy as np

from sgbench.errors import InputError
from sgbench.recommendation.summary import TaskSummary
from sgbench.statistics.blocks import Contrast, contrast
from sgbench.statistics.intervals import summarise
from sgbench.study_runner.cells import Cell
from study.reporting.pages.text import StudyPage, cell_text, interval, table
from study.reporting.run_table import MIN_SEEDS, RunTable, points_of, run_table
from study.reporting.verdicts import Item
from study.surrogates.analysis.comparisons import LIBRARY_DEFAULTS, UNSEEN, own_best
from study.surrogates.analysis.evidence import SurrogateEvidence
from study.surrogates.analysis.fit import HeldOut, fit, held_out
from study.surrogates.analysis.pages.claim_rules import missing

NAME = "held_out.md"
TITLE = "Does the recommendation hold on a new task?"
TUNING, BLOCK = UNSEEN, "KR"
CLOSE_POINTS = 2.0
RECOMMENDED = "recommended"
TRIES = ("", ", second try", ", third try")


def page(evidence: SurrogateEvidence) -> StudyPage:
    """Write the page on what a recommendation loses on tasks it has not seen."""
    parts = [
        "A recommendation is fitted to the tasks of the regime map. What it loses on a task that it has not seen "
        "is measured twice: on tasks that were added after it was written down (block KR), and on each task of the "
        "map after a fit to the others of its kind.",
        "Regret is how many points of test accuracy a setting lies below the task's best one, which validation "
        "chooses (on later tasks among each shape's own best, with the tuning seeds); of a task that is solved or "
        "not, points of 100 for a solved run. Below 0 it is better than what validation chose.",
        "## Tasks that nobody had seen",
        *_later(evidence),
        "## Each task of the map left out",
        *_left_out(evidence),
    ]
    return StudyPage(NAME, TITLE, tuple(parts))


def recommended_cells(evidence: SurrogateEvidence, task: str) -> list[Cell]:
    """Return the cells that were recommended for a task, without the libraries' defaults."""
    block = evidence.loaded.study.blocks[BLOCK]
    return [
        dict(cell)
        for grid in block.grids
        if grid.tasks is None or task in grid.tasks
        for cell in grid.cells
        if cell.get("surrogate") not in LIBRARY_DEFAULTS
    ]


def _later(evidence: SurrogateEvidence) -> list[str]:
    """Write what the recommendation loses on tasks that were added later."""
    if BLOCK not in evidence.loaded.study.blocks:
        return [f"This study has no block {BLOCK}."]
    tasks = evidence.loaded.study.blocks[BLOCK].tasks
    if not any(recommended_cells(evidence, task) for task in tasks):
        stated = f"Block {BLOCK} has no cell of the recommendation yet: it is committed before block {TUNING}."
    else:
        stated = ""
    known = _complete_tables(evidence)
    if not known:
        return [part for part in (f"Not known yet: {missing(evidence, TUNING, BLOCK).number}.", stated) if part]
    lacking = [task for task in tasks if task not in known]
    rows = [row for task, runs in known.items() for row in _rows(evidence, task, runs)]
    messages = [text for task, runs in known.items() if (text := _message(evidence, task, runs))]
    return [
        *([f"Tasks of which not all runs are stored: {', '.join(lacking)}."] if lacking else []),
        *([stated] if stated else []),
        *(["\n".join(messages)] if messages else []),
        table(["task", "method", "setting", "regret, points", "seeds"], rows),
    ]


def _complete_tables(evidence: SurrogateEvidence) -> dict[str, RunTable]:
    """Tabulate the runs of the held-out tasks, as far as all of them, and of the tasks' own tuning, are stored."""
    tasks = evidence.loaded.study.blocks[BLOCK].tasks if BLOCK in evidence.loaded.study.blocks else ()
    tables = {task: _table(evidence, task) for task in tasks}
    return {
        task: runs
        for task, runs in tables.items()
        if runs is not None and runs.complete and _tuned(evidence, task).complete
    }


def regrets_of_advice(evidence: SurrogateEvidence) -> dict[str, Contrast]:
    lost = {task: _regrets(evidence, task, runs).get(RECOMMENDED) for task, runs in _complete_tables(evidence).items()}
    return {task: regret for task, regret in lost.items() if regret is not None}


def _named(evidence: SurrogateEvidence, task: str) -> dict[str, Cell]:
    """Map names to the cells that are compared: recommendation, own best of each shape, library defaults."""
    advised = recommended_cells(evidence, task)
    cells = dict(zip((f"{RECOMMENDED}{more}" for more in TRIES), advised, strict=False))
    cells |= {f"own best of {shape}": cell for shape, cell in own_best(evidence.scores, task, block=TUNING).items()}
    cells |= {name: {"surrogate": name, "width_fwhm": None} for name in LIBRARY_DEFAULTS}
    return cells


def _table(evidence: SurrogateEvidence, task: str) -> RunTable | None:
    """Return the runs of all compared cells with seeds that report; None if the task is not tuned."""
    if not own_best(evidence.scores, task, block=TUNING):
        return None
    cells = list(_named(evidence, task).values())
    seeds = evidence.loaded.study.blocks[BLOCK].seeds.values
    return run_table(evidence.scores, task, "report", cells, seeds, start=BLOCK)


def _tuned(evidence: SurrogateEvidence, task: str) -> RunTable:
    """Return the tuning runs of each shape's own best cell."""
    cells = list(own_best(evidence.scores, task, block=TUNING).values())
    seeds = evidence.loaded.study.blocks[TUNING].seeds.values
    return run_table(evidence.scores, task, "tuning", cells, seeds, start=TUNING)


def _regrets(evidence: SurrogateEvidence, task: str, runs: RunTable) -> dict[str, Contrast]:
    """Compute how far each cell lies below the task's best one, paired by seed.

    Of several tries, the one with the best validation accuracy in a seed counts as one more method.
    """
    scores = dict(zip(_named(evidence, task), points_of(evidence.loaded.study.tasks[task], runs), strict=True))
    shapes = list(own_best(evidence.scores, task, block=TUNING))
    best = scores[f"own best of {shapes[int(_tuned(evidence, task).validation.mean(axis=1).argmax())]}"]
    tries = [place for place, name in enumerate(scores) if name.startswith(RECOMMENDED)]
    if len(tries) > 1:
        picked = runs.validation[tries].argmax(axis=0)
        scores[f"the best of {len(tries)} tries"] = np.array(list(scores.values()))[tries][
            picked, np.arange(len(picked))
        ]
    return {name: contrast([best, row], [1, -1]) for name, row in scores.items()}


def _rows(evidence: SurrogateEvidence, task: str, runs: RunTable) -> list[list[Item]]:
    """Write a row for each way to a setting: the setting, and the points that it loses to the task's best one."""
    cells, title = _named(evidence, task), f"{task}: {evidence.title(task)}"
    return [
        [title, name, _setting_text(cells.get(name)), interval(loss.estimate, loss.low, loss.high), loss.seeds]
        for name, loss in _regrets(evidence, task, runs).items()
    ]


def _setting_text(cell: Cell | None) -> str:
    """Write what a method is set to: `as shipped` where it has no width, the rule where no single cell is meant."""
    if cell is None:
        return "by validation, seed by seed"
    if not cell.get("width_fwhm"):
        return "as shipped"
    shape = f"{cell['surrogate']}, "
    return shape + cell_text(cell, without=["surrogate"])


def _message(evidence: SurrogateEvidence, task: str, runs: RunTable) -> str:
    """Say what the recommendation and the libraries' defaults lose on a task; empty without a recommendation."""
    regrets = _regrets(evidence, task, runs)
    advised = regrets.get(RECOMMENDED)
    if advised is None:
        return ""
    said = interval(advised.estimate, advised.low, advised.high)
    tries = [one for name, one in regrets.items() if name.startswith("the best of")]
    more = "".join(f"the best of its tries {interval(one.estimate, one.low, one.high)}; " for one in tries)
    shipped = [regrets[name].estimate for name in LIBRARY_DEFAULTS]
    return (
        f"- **{task}, {evidence.title(task)}**: the recommendation loses {said} points to the best; {more}library "
        f"defaults lose {min(shipped):.1f} to {max(shipped):.1f}."
    )


def kinds(tasks: Mapping[str, TaskSummary]) -> dict[str, Mapping[str, TaskSummary]]:
    """Group tasks by the kind of their network, as the recommendation does."""
    groups: dict[str, Mapping[str, TaskSummary]] = {}
    for task in tasks.values():
        try:
            alike = fit(tasks, task.shape)
        except InputError:  # none of its kind has a cell
            continue
        groups.setdefault(alike.kind, alike.tasks)
    return groups


def _left_out(evidence: SurrogateEvidence) -> list[str]:
    """Write what a fit to the other tasks of a kind loses on each task."""
    tasks = {} if evidence.summary is None else evidence.summary.tasks
    groups = kinds(tasks)
    if not groups:
        return [f"Not known yet: {missing(evidence, 'A2').number}."]
    rows: list[list[Item]] = []
    alone = []
    for kind, alike in groups.items():
        checks = held_out(alike)
        if not checks:
            alone.append(f"{kind} ({', '.join(alike)})")
        rows += [_left_out_row(evidence, kind, check) for check in checks]
    close = sum(check.regret <= CLOSE_POINTS for alike in groups.values() for check in held_out(alike))
    said = []
    if rows:
        said.append(
            f"The setting that the other tasks recommend loses at most {CLOSE_POINTS:g} points on {close} of "
            f"{len(rows)} tasks."
        )
        header = ["kind of network", "task left out", "recommended", "regret, points", "seeds", "library defaults"]
        said.append(table(header, rows))
        said.append("Library defaults are scored on reporting seeds (block A3b), where they are stored.")
    if alone:
        said.append(f"No out-of-sample figure where a kind has one task: {'; '.join(alone)}.")
    return said


def _left_out_row(evidence: SurrogateEvidence, kind: str, check: HeldOut) -> list[Item]:
    """Return the cells of a task left out."""
    surrogate, width, _ = check.place
    mean = summarise(check.by_seed)
    ends = (mean.low, mean.high) if mean.n >= MIN_SEEDS else (None, None)
    shipped = ", ".join(f"{name} {regret:.1f}" for name, regret in check.defaults.items())
    return [
        kind,
        f"{check.task}: {evidence.title(check.task)}",
        f"{surrogate}, width {width:g}",
        interval(mean.mean, *ends),
        mean.n,
        shipped or "not stored yet",
    ]
