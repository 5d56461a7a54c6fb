"""The numbers in a picture of a sweep: its axes, and the scores of each combination."""

from collections.abc import Sequence
from dataclasses import dataclass

from sgbench.errors import InputError
from sgbench.plots.chart import Estimate
from sgbench.plots.error_axis import ErrorAxis

ACCURACY, LOSS, FAILED, TEST = "validation accuracy, %", "validation loss", "failed runs, %", "test accuracy, %"
"""The quantities that a picture may draw."""
LEAST_LOSS = 1e-6


@dataclass(frozen=True)
class SweptAxis:
    """Describes one swept key with its values."""

    key: str  # of a Hydra override
    label: str  # quantity and unit
    values: tuple[str, ...]
    numbers: tuple[float, ...]  # the values as numbers; empty if one is no number

    @property
    def short(self) -> str:
        """Return the last part of the key.

        >>> SweptAxis("neuron.reset_gradient", "", (), ()).short
        'reset_gradient'
        """
        return self.key.rpartition(".")[2]


@dataclass(frozen=True)
class SweepRow:
    """Describes one combination: accuracies on the validation split in %, or losses."""

    settings: dict[str, str]  # value by the key of an axis
    surrogate: str
    mean: Estimate | None  # over seeds, with its interval; None without a run
    seeds: tuple[float, ...]  # scores of finished runs
    failed: tuple[float, ...]  # scores of failed runs, as by guessing
    is_short: bool  # whether some but not all seeds have a run
    chance: float  # score of guessing
    spikes: float | None = None  # per inference; None if not counted


@dataclass(frozen=True)
class SweepPicture:
    """Holds a sweep with its rows, in the order in which it runs."""

    title: str
    axes: tuple[SweptAxis, ...]
    width: SweptAxis | None  # the axis of widths or slopes, if one is swept
    rate: SweptAxis | None  # the axis of learning rates, if one is swept
    rows: tuple[SweepRow, ...]
    seeds: int  # count of seeds of each combination
    what: str = ACCURACY  # the drawn quantity

    @property
    def is_loss(self) -> bool:
        """Return whether less of the drawn quantity is better: it is a loss or a share of failed runs."""
        return self.what not in (ACCURACY, TEST)

    @property
    def axis(self) -> ErrorAxis:
        """Build the axis on which the sweep's scores are drawn."""
        return ErrorAxis(is_loss=True, least=LEAST_LOSS) if self.is_loss else ErrorAxis()

    @property
    def failed(self) -> int:
        """Count the runs that failed."""
        return sum(len(row.failed) for row in self.rows)


def other_axes(picture: SweepPicture, excluded: Sequence[SweptAxis]) -> list[SweptAxis]:
    excluded_keys = [axis.key for axis in excluded]
    return [axis for axis in picture.axes if axis.key not in excluded_keys]


def curves_of(picture: SweepPicture, panel_axes: Sequence[SweptAxis]) -> dict[str, list[SweepRow]]:
    """Group the rows that share one curve or one panel: those that differ only in the settings on `panel_axes`.

    The key of a group names its settings on the other axes; without another axis it is the surrogate.
    """
    others = other_axes(picture, panel_axes)
    groups: dict[str, list[SweepRow]] = {}
    for row in picture.rows:
        name = ", ".join(row.settings[axis.key] for axis in others) or row.surrogate
        groups.setdefault(name, []).append(row)
    return groups


def require_few(count: int, most: int, things: str) -> None:
    """Raise an InputError if a picture has more than `most` parts; `things`: what they are, e.g. "curves"."""
    if count > most:
        raise InputError(
            f"{count} {things} are too many for one picture; give fewer values of an axis, e.g. surrogate=atan,triangle"
        )
