"""`hydra/sweeper=planned`: Hydra's basic sweeper for checked points. Hydra imports this file whenever it starts.

The basic sweeper is private, and subclassed all the same, because its points must be made here as they are planned.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import Override


@dataclass
class PointsConf:
    """Holds points beside the grid, by kind; see `sgbench.composition.points`."""

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
    """Launches the points of a multirun without composing each of them a second time, at 0.1 s a point.

    `sgbench run` has composed and checked every point before Hydra starts.

    Args:
        max_batch_size: points that are launched together, or None for all.
        params: the grid.
        points: further points, each of which meets each of the grid.
    """

    def __init__(
        self,
        max_batch_size: int | None,
        params: dict[str, Any] | None = None,
        points: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(max_batch_size, params)
        self.points = points

    def split_arguments(  # type: ignore[override] - called on the sweeper itself
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """Make the points as `sgbench run` has planned them, in batches."""
        (points,) = BasicSweeper.split_arguments(overrides, None)
        # Without such points, an application of somebody else runs without sgbench.
        if any(content is not None for content in (self.points or {}).values()):
            from sgbench.composition.points import extra_points, joined

            points = joined(points, extra_points(self.points))
        size = len(points) if max_batch_size in (None, -1) else max_batch_size
        return [points[first : first + size] for first in range(0, len(points), size)]

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Do nothing, since every point was checked when it was planned."""


ConfigStore.instance().store(group="hydra/sweeper", name="planned", node=PlannedConf, provider="sgbench")
