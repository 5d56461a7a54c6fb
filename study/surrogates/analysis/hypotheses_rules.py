"""H9 of the study of surrogates: one-step against full back-propagation, in recurrent networks."""

from dataclasses import replace

import numpy as np

from sgbench.statistics.pairs import holm
from sgbench.statistics.solved import compare_shares
from sgbench.study_runner.cells import Cell
from sgbench.study_runner.scores import StudyScores
from study.reporting.run_table import RunTable
from study.reporting.verdicts import HypothesisResult
from study.surrogates.analysis.comparisons import COMPARED, Compared, Rules, compared_rows, compared_scores, looks

TUNING, BLOCK = "D", "DR"
FULL, ONE_STEP = "full", "one step"
WINDOWS: dict[str, int | None] = {FULL: None, ONE_STEP: 1}
"""Steps over which credit reaches."""
CLOSE = ("T4", "T5")
"""Tasks on which one step is claimed to come close."""
FAR = "T6"
"""The task on which it is claimed not to."""
MARGIN_POINTS = 3.0


def h9(scores: StudyScores, rules: Rules) -> HypothesisResult:
    """Decide whether one-step back-propagation is close to the full one on two tasks, and not on a third."""
    result = HypothesisResult(
        name="H9",
        claim="One-step back-propagation with a loss at every step comes within 3 points of full "
        "back-propagation on T4 and T5, and not on T6.",
        cells="DR: full and one-step back-propagation with a loss at every step, each at its own learning rate",
        seeds="none",
        level_factor=rules.level / rules.look_level,
    )
    looks = {task: _last_look(scores, task) for task in (*CLOSE, FAR)}
    tables = {task: table for task, table in looks.items() if table is not None}
    seeds = ", ".join(f"{task} {table.planned}" for task, table in tables.items()) or "none"
    lacking = [task for task in looks if task not in tables]
    if lacking:
        return replace(result, seeds=f"{seeds}; no complete look at {', '.join(lacking)}")
    return _decided(replace(result, seeds=seeds), scores, tables, rules)


def _last_look(scores: StudyScores, task: str) -> RunTable | None:
    """Return both methods' runs at the latest complete look, the full one first; None without a look."""
    settled = scores.settled.get(TUNING, {}).get(task, ())
    cells: list[Cell] = []
    for window in WINDOWS.values():
        cells += [dict(cell) for cell in settled if cell.get("rule") == "bptt" and cell.get("rule.window") == window]
    if len(cells) < len(WINDOWS) or BLOCK not in scores.study.blocks:
        return None
    tables = looks(scores, task, cells)
    return tables[-1] if tables else None


def _decided(
    result: HypothesisResult, scores: StudyScores, tables: dict[str, RunTable], rules: Rules
) -> HypothesisResult:
    """Decide from complete looks: equal within the margin on the close tasks, and fewer solved runs on the far one."""
    close: list[Compared] = []
    for task in CLOSE:
        wide = scores.study.tasks[task].model_copy(update={"margin": MARGIN_POINTS})
        accuracy = tables[task].accuracy
        close += compared_scores(task, wide, [*WINDOWS], accuracy, FULL, rules, level=rules.look_level)
    solved = dict(zip(WINDOWS, tables[FAR].solved.sum(axis=1).astype(int).tolist(), strict=True))
    runs = tables[FAR].planned
    p_apart = compare_shares(solved[ONE_STEP], runs, solved[FULL], runs).p
    is_lower = solved[ONE_STEP] < solved[FULL]
    is_higher = solved[ONE_STEP] > solved[FULL]
    against = [*(one.verdict.p_beyond for one in close), p_apart if is_higher else 1.0]
    differences = ", ".join(f"{one.verdict.difference:+.2f} points on {one.task}" for one in close)
    return replace(
        result,
        p_confirmed=max([*(one.verdict.p_equal for one in close), p_apart if is_lower else 1.0]),
        p_refuted=float(holm(np.array(against)).min()),
        why=(
            f"one step minus full: {differences}; {FAR} is solved by {solved[ONE_STEP]} of {runs} runs of one step "
            f"and {solved[FULL]} of full back-propagation"
        ),
        header=COMPARED,
        rows=compared_rows(close),
    )
