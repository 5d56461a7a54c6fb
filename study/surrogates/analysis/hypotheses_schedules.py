"""H8 of the study of surrogates: a width that is learnt or scheduled against the best fixed one."""

from dataclasses import replace

from sgbench.study_runner.cells import Cell
from sgbench.study_runner.scores import StudyScores
from study.reporting.verdicts import HypothesisResult
from study.surrogates.analysis.comparisons import REFERENCE, Rules, compared_tasks, equality_at_looks, own_best

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

    def cells_of(task: str) -> list[Cell]:
        best = own_best(scores, task).get(REFERENCE)
        return [] if best is None else [best, *({**best, **schedule} for schedule in SCHEDULES.values())]

    return equality_at_looks(result, *compared_tasks(scores, tasks, cells_of, (FIXED, *SCHEDULES), FIXED, rules))
