"""What the shapes of measured settings lose to the best shape that a study of many shapes found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sgbench.errors import InputError
from sgbench.recommendation.fit import fit
from sgbench.recommendation.summary import Shape, StudySummary

KINDS = (Shape(layers=1, recurrent=False, steps=100), Shape(layers=1, recurrent=True, steps=100))
"""Networks of the kinds that were measured under a budget."""


@dataclass(frozen=True)
class ShapeLoss:
    """Says what one shape at its best width loses to the best one in a kind of network."""

    kind: str  # of network, in words
    surrogate: str  # the shape
    best: str  # the best one
    points: float  # of test accuracy, mean over tasks

    def __str__(self) -> str:
        if self.surrogate == self.best:
            return f"{self.surrogate} is the best shape in {self.kind}"
        return f"{self.surrogate} loses {self.points:.1f} points to {self.best} in {self.kind}"


def shape_losses(summary: StudySummary, surrogates: Iterable[str]) -> tuple[ShapeLoss, ...]:
    """Look up what shapes lose to the best one, each at its own best width; kinds without tasks are left out."""
    found = []
    for kind in KINDS:
        try:
            study_fit = fit(summary.tasks, kind)
            best = study_fit.best("accuracy")
        except InputError:  # nothing of the kind is stored
            continue
        least = study_fit.losses[best].plain_mean
        for surrogate in surrogates:
            places = study_fit.in_order(surrogate)
            if places:
                points = study_fit.losses[places[0]].plain_mean - least
                found.append(ShapeLoss(study_fit.kind, surrogate, best[0], max(0.0, points)))
    return tuple(found)
