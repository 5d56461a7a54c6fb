"""What to keep in mind beside the registered verdicts, and of which level the intervals of each are.

Verdicts stay as the registration decides them. These remarks were written after the runs.
"""

from study.reporting.verdicts import HypothesisResult
from study.surrogates.analysis.comparisons import Rules

REMARKS = (
    ("H2", "arithmetic more than a finding: without spikes in hidden layers a compact derivative is exactly 0."),
    (
        "H6",
        "asks about atan; that all six shapes are equal is rejected on some tasks ([spread](tuned.md)). "
        "Some starting cells had five seeds and some ten, so atan's start on T4, those of atan and gaussian "
        "on T2d4 and of log_abs on T5 are misplaced. Two seeds chose, and the grid wasn't followed beyond its "
        "edge. A reader's 20 seeds of the cells that common seeds choose on T4, not stored here, show sigmoid "
        "worse than atan by 3.2 (1.9 to 4.4) and fast_sigmoid and log_abs equal to it.",
    ),
    (
        "H8",
        "schedules begin at the best width and end at five times or a fifth of it, so they had to lose; one that "
        "ends there isn't tested.",
    ),
    (
        "H9",
        "the 5.6 points on T5 are of width: full back-propagation with the same loss gains 4.6 there at a "
        "width of 0.1 (a reader's runs, not stored). T4 alone carries the verdict.",
    ),
    (
        "H5",
        "counts failed runs. What clipping does to accuracy differs by task and width ([accuracy](found_later.md)).",
    ),
    ("C1, C3", "ask whether random hidden layers do as well, not whether hidden layers train."),
    ("C6, L3, L17", "`q_pseudo_spike` at a tail of 100 is an exponential, the lightest tail there, and not compact."),
    ("C11", "asks for equality, so a cost of activity that raises accuracy is no saving to it."),
    ("L5", "four small networks without normalisation, where its paper has deep ones with it."),
    (
        "records",
        "a first A1 and a first E were dropped early and not stored as void. Blocks D and DR are of the commit "
        "before a defect was mended that they don't have; two of their runs made again agree.",
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
        return f"intervals of 95 %, {kinds[result.name]}"
    level = rules.level / result.level_factor
    return f"intervals of {PERCENT * (1 - 2 * level):.3g} %, for two one-sided tests at {level:g}"
