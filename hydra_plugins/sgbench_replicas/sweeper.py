"""`hydra/sweeper=planned`: Hydra's basic sweeper for checked points. Hydra imports this file whenever it starts.

The basic sweeper is private, and subclassed all the same, because its points must be made here as they are planned.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore


@dataclass
class PlannedConf:
    """As of Hydra's basic sweeper."""

    _target_: str = "hydra_plugins.sgbench_replicas.sweeper.PlannedSweeper"
    max_batch_size: Optional[int] = None  # noqa: UP045 - OmegaConf reads it
    params: Optional[dict[str, Any]] = field(default=None)  # noqa: UP045


class PlannedSweeper(BasicSweeper):
    """Launches the points of a multirun without composing each of them a second time, at 0.1 s a point.

    `sgbench run` has composed and checked every point before Hydra starts.
    """

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Nothing is left to check."""


ConfigStore.instance().store(group="hydra/sweeper", name="planned", node=PlannedConf, provider="sgbench")
