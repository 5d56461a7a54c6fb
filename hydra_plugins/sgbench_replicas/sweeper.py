"""`hydra/sweeper=planned`: Hydra's basic sweeper for checked points. Hydra imports this file whenever it starts.

Hydra's basic sweeper is private, but is subclassed so that the points here are equal to those that were checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import Override


@dataclass
class PointsConf:
    """Holds the points beside the grid, one key for each kind; see `sgbench.composition.points`."""

    zip: Any = None
    list: Any = None
    random: Any = None
    sobol: Any = None


@dataclass
class PlannedConf:
    """Holds the settings of Hydra's basic sweeper, and points beside its grid."""

    _target_: str = "hydra_plugins.sgbench_replicas.sweeper.PlannedSweeper"
    max_batch_size: Optional[int] = None  # noqa: UP045 - OmegaConf reads it
    params: Optional[dict[str, Any]] = field(default=None)  # noqa: UP045
    points: Optional[PointsConf] = field(default_factory=PointsConf)  # noqa: UP045


class PlannedSweeper(BasicSweeper):
    """Launches the points of a multirun without composing them a second time, which takes Hydra 0.1 s a point.

    `sgbench run` composes and checks every point before Hydra starts.

    Args:
        max_batch_size: points that are launched together; None is all.
        params: maps the grid's keys to their values, as texts of overrides.
        points: points beside the grid, by kind; each is combined with each point of the grid.
    """

    def __init__(
        self, max_batch_size: int | None, params: dict[str, Any] | None = None, points: dict[str, Any] | None = None
    ) -> None:
        super().__init__(max_batch_size, params)
        self.points = points

    def split_arguments(  # type: ignore[override] - called on the sweeper itself
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """List the overrides of all points, in the order of `sgbench run`, divided into batches."""
        (points,) = BasicSweeper.split_arguments(overrides, None)  # one batch of all points of the grid
        # sgbench is imported only if needed, since another application may run without it.
        if any(content is not None for content in (self.points or {}).values()):
            from sgbench.composition.points import combine_points, extra_points

            points = combine_points(points, extra_points(self.points))
        size = len(points) if max_batch_size in (None, -1) else max_batch_size  # -1 is Hydra's word for all
        return [points[first : first + size] for first in range(0, len(points), size)]

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Do nothing, since every point was checked when it was planned."""


ConfigStore.instance().store(group="hydra/sweeper", name="planned", node=PlannedConf, provider="sgbench")
