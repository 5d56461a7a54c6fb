"""What to keep in mind beside the registered verdicts, and of which level the intervals of each are."""

from pathlib import Path

import yaml

from study.reporting.verdicts import HypothesisResult
from study.surrogates.analysis.comparisons import Rules

REMARKS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
PERCENT = 100


def remark_lines() -> str:
    return "\n".join(f"- **{of}**: {says}" for of, says in REMARKS.items())


def interval_level(result: HypothesisResult, rules: Rules) -> str:
    """Write the level of the intervals of a hypothesis's table.

    `rules`: whose levels decide; two one-sided tests at a level have an interval of one minus twice that.
    """
    kinds = {"H2": "Wilson's", "H4": "by bootstrap, and Wilson's of shares", "H7": "of slopes"}
    if result.name in kinds:
        return f"intervals of 95 %, {kinds[result.name]}"
    level = rules.level / result.level_factor
    return f"intervals of {PERCENT * (1 - 2 * level):.3g} %, for two one-sided tests at {level:g}"
