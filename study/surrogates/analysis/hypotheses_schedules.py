"""H8 of the study of surrogates: a width that is learnt or scheduled against the best fixed one."""

from dataclasses import replace

from sgbench.study_runner.cells import Cell
from sgbench.study_runner.scores import StudyScores
from study.reporting.verdicts import HypothesisResult
from study.surrogates.analysis.comparisons import REFERENCE, Compared, Rules, compared_table, equality, looks, own_best

BLOCK = "F"
FIXED = "fixed"
FINALS = (0.2, 5.0)
"""Steepness at the end of training over that at its start."""
SCHEDULES: dict[str, Cell] = {
    "learned": {"steepness": "learned"},
    **{
        f"{name} to {final:g}": {"steepness": name, "steepness.final": final}
        for name in ("linear", "exponential", "cosine")
        for final in FINALS
    },
}


def h8(scores: StudyScores, rules: Rules) -> HypothesisResult:
    result = HypothesisResult(
        name="H8",
        claim="A width that is learnt or scheduled equals the best fixed width.",
        cells="no block has them",
        seeds="none",
        level_factor=rules.level / rules.look_level,
    )
    if BLOCK not in scores.study.blocks:
        return replace(result, why="an amendment has to state its cells before its block runs")
    tasks = scores.study.blocks[BLOCK].tasks
    result = replace(result, cells=f"F: atan's own best, fixed, learnt and scheduled; {', '.join(tasks)}")
    comparisons: list[Compared] = []
    counts, lacking = [], []
    for task in tasks:
        best = own_best(scores, task).get(REFERENCE)
        cells = [] if best is None else [best, *({**best, **schedule} for schedule in SCHEDULES.values())]
        tables = looks(scores, task, cells) if cells else []
        if not tables:
            lacking.append(task)
            continue
        counts.append(f"{task} {tables[-1].planned}")
        methods = (FIXED, *SCHEDULES)
        comparisons += compared_table(
            *(task, scores.study.tasks[task], methods, tables[-1], FIXED, rules), level=rules.look_level
        )
    seeds = ", ".join(counts) or "none"
    if lacking:
        return replace(result, seeds=f"{seeds}; no complete look at {', '.join(lacking)}")
    return equality(replace(result, seeds=seeds), comparisons)
