"""What to keep in mind beside the registered verdicts, and of which level the intervals of each are.

Verdicts stay as the registration decides them. These remarks were written after the runs.
"""

from study.reporting.verdicts import HypothesisResult
from study.surrogates.analysis.comparisons import Rules

REMARKS = (
    (
        "H2",
        "arithmetic more than a finding: where hidden layers send no spike, a compact derivative is "
        "exactly 0 and nothing can be learnt.",
    ),
    (
        "H6",
        "asks about atan. That all six shapes are equal is rejected on some tasks ([spread](tuned.md)). "
        "Starting cells came from a block in which some cells had five seeds and some ten, so that atan's "
        "start on T4, those of atan and gaussian on T2d4 and of log_abs on T5 are misplaced. Two seeds "
        "chose, and the grid of three widths and three learning rates was not followed beyond its edge. A "
        "reader's 20 seeds of the cells that common seeds choose on T4, not stored here, show sigmoid "
        "worse than atan by 3.2 (1.9 to 4.4) and fast_sigmoid and log_abs equal to it.",
    ),
    (
        "H8",
        "schedules begin at the best width and end at five times or a fifth of it, so that they had to "
        "lose. A schedule that ends at the best width is not tested.",
    ),
    (
        "H9",
        "the 5.6 points on T5 are of width: full back-propagation with the same loss gains 4.6 there at a "
        "width of 0.1 (a reader's runs, not stored). T4 alone carries the verdict. Rules are comparable "
        "once each has a width of its own.",
    ),
    (
        "H5",
        "counts failed runs. What clipping does to accuracy differs by task and width ([accuracy](found_later.md)).",
    ),
    ("C1, C3", "ask whether a network with random hidden layers does as well, not whether hidden layers train."),
    (
        "C6, L3, L17",
        "six layers were run with `q_pseudo_spike` at a tail of 100. That is an exponential, the lightest "
        "tail there, and not compact.",
    ),
    ("C11", "asks for equality, so that a cost of activity that raises accuracy is no saving to it."),
    (
        "L5",
        "four small networks without normalisation. The setting of its paper, deep networks with it, is "
        "not tested here.",
    ),
    (
        "records",
        "two sets of runs that were dropped early, a first A1 and a first E, were not stored as void. "
        "Blocks D and DR stay on the commit before a defect that they do not have was mended. Two of "
        "their runs made again agree.",
    ),
)
PERCENT = 100


def remark_lines() -> str:
    return "\n".join(f"- **{of}**: {says}" for of, says in REMARKS)


def interval_level(result: HypothesisResult, rules: Rules) -> str:
    """Write the level of the intervals of a hypothesis's table.

    `rules`: whose levels decide; two one-sided tests at a level have an interval of one minus twice that.
    """
    kinds = {"H2": "Wilson's", "H4": "by bootstrap, and Wilson's of shares", "H7": "of slopes"}
    if result.name in kinds:
        return f"Intervals are of 95 %, {kinds[result.name]}."
    level = rules.level / result.level_factor
    return f"Intervals are of {PERCENT * (1 - 2 * level):.3g} %, as two one-sided tests at {level:g} need."
