"""What a picture of a sweep shows: its axes, and the accuracies of each combination of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sgbench.plots.error_axis import ErrorAxis
from sgbench.plots.estimate import Estimate

ACCURACY, LOSS, FAILED = "validation accuracy, %", "validation loss", "failed runs, %"
LEAST_LOSS = 1e-6


@dataclass(frozen=True)
class SweptAxis:
    """Describes one key with the values that are swept."""

    key: str
    label: str  # what it shows and its unit
    values: tuple[str, ...]
    numbers: tuple[float, ...]  # the values as numbers; empty where one of them is none

    @property
    def short(self) -> str:
        """Return the last word of the key.

        >>> SweptAxis("neuron.reset_gradient", "", (), ()).short
        'reset_gradient'
        """
        return self.key.rpartition(".")[2]


@dataclass(frozen=True)
class SweepRow:
    """Describes one combination: accuracies on the validation split in %, or losses."""

    settings: dict[str, str]  # value by the key of an axis
    surrogate: str
    mean: Estimate | None  # over seeds, with its interval; None where no seed has a run
    seeds: tuple[float, ...]  # of finished runs
    failed: tuple[float, ...]  # what failed runs count as
    is_short: bool  # whether some but not all seeds have a run
    chance: float
    spikes: float | None = None  # per inference, where they were counted


@dataclass(frozen=True)
class SweepPicture:
    """Holds a sweep with its rows, in the order in which it runs."""

    title: str
    axes: tuple[SweptAxis, ...]
    width: SweptAxis | None  # the axis of widths or slopes, if one is swept
    rate: SweptAxis | None  # that of learning rates, if one is swept
    rows: tuple[SweepRow, ...]
    seeds: int  # asked for
    what: str = ACCURACY  # is drawn

    @property
    def is_loss(self) -> bool:
        """Return whether the sweep's scores are losses, of which less is better."""
        return self.what != ACCURACY

    @property
    def axis(self) -> ErrorAxis:
        """Build the axis on which the sweep's scores are drawn."""
        return ErrorAxis(is_loss=True, least=LEAST_LOSS) if self.is_loss else ErrorAxis()

    @property
    def failed(self) -> int:
        """Count the runs that failed."""
        return sum(len(row.failed) for row in self.rows)


def other_axes(picture: SweepPicture, taken: Sequence[SweptAxis]) -> list[SweptAxis]:
    """List the axes of a sweep that are not drawn along an axis of the picture."""
    keys = [axis.key for axis in taken]
    return [axis for axis in picture.axes if axis.key not in keys]


def curves_of(picture: SweepPicture, taken: Sequence[SweptAxis]) -> dict[str, list[SweepRow]]:
    """Group rows by what tells them apart besides the axes taken; by the surrogate where nothing does."""
    others = other_axes(picture, taken)
    curves: dict[str, list[SweepRow]] = {}
    for row in picture.rows:
        name = ", ".join(row.settings[axis.key] for axis in others) or row.surrogate
        curves.setdefault(name, []).append(row)
    return curves
