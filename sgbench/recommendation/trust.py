"""How far a price list's joules can be trusted: published measurements that its predictions met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sgbench.energy.price import load_targets
from sgbench.energy.validate import load_cases, validate


@dataclass(frozen=True)
class Trust:
    """Counts predictions that hold, of one price list and of all."""

    target: str  # name of the price list
    held: int  # predictions of it whose interval meets the measured one
    of: int  # predictions of it; 0: nobody measured what it predicts
    lowest: float | None  # predicted over measured energy, the least; None without a prediction
    highest: float | None  # the largest
    all_held: int  # of all price lists
    all_of: int  # predictions of all

    def __str__(self) -> str:
        everywhere = f"of all price lists {self.all_held} of {self.all_of} hold"
        if self.lowest is None or self.highest is None:
            return (
                f"Trust in joules: no published measurement was held against {self.target}, so they rank settings "
                f"and say little of a meter; {everywhere}."
            )
        return (
            f"Trust in joules: {self.held} of {self.of} predictions of {self.target} hold against published "
            f"measurements, at {self.lowest:.2g} to {self.highest:.2g} times what was measured; {everywhere}."
        )


def trust_in(target: str, config_dirs: Sequence[Path] = ()) -> Trust:
    """Count the predictions of a price list that published measurements bear out."""
    verdicts = validate(load_cases(config_dirs), load_targets(config_dirs, everything=True))
    mine = [verdict for verdict in verdicts if verdict.target == target]
    ratios = [verdict.ratio for verdict in mine]
    return Trust(
        target,
        sum(verdict.inside for verdict in mine),
        len(mine),
        min(ratios, default=None),
        max(ratios, default=None),
        sum(verdict.inside for verdict in verdicts),
        len(verdicts),
    )
