"""Where groups of a sweep run: on this machine, on SLURM or on Ray, and what is asked of a cluster."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import OmegaConf

from sgbench.errors import InputError, require_choice, require_count, require_number
from sgbench.replicas.cluster import Cluster

PLACES = ("local", "slurm", "ray")
POINTS_A_JOB = 16
"""Where nobody said how many jobs: so many runs pay for the start of one process."""


@dataclass(frozen=True)
class Where:
    """Names a machine or a cluster."""

    on: str = "local"  # local, slurm or ray
    memory_gb: float | None = None  # of a job of a cluster at most, or None for what its replicas need
    timeout_min: int = 60  # time limit of a job on SLURM
    partition: str | None = None  # of SLURM, or None for its default
    slurm: Mapping[str, Any] = field(default_factory=dict)  # more of submitit's settings
    address: str | None = None  # of a Ray cluster, or None to start one here

    @property
    def most_bytes(self) -> int | None:
        """Return the memory of a job in bytes."""
        return None if self.memory_gb is None else int(self.memory_gb * (1 << 30))

    def groups_of(self, points: int) -> int | None:
        """Return how many jobs so many points make on a cluster; None on this machine."""
        return None if self.on == "local" else math.ceil(points / POINTS_A_JOB)

    def cluster(self, workers: int | None) -> Cluster | None:
        """Connect to the cluster; None is this machine.

        Args:
            workers: jobs at a time, or None for as many as it lets.

        Raises:
            InputError: it is not there; one line with the remedy.
        """
        if self.on == "local":
            return None
        if self.on == "slurm":
            from sgbench.replicas.slurm import Slurm

            return Slurm(
                workers=workers,
                partition=self.partition,
                timeout_min=self.timeout_min,
                settings=self.slurm,
            )
        from sgbench.replicas.ray_cluster import RayCluster

        return RayCluster(workers=workers, address=self.address)


HERE = Where()


def where_of(settings: Mapping[str, Any]) -> Where:
    """Check settings as they stand under `hydra.launcher`.

    Raises:
        InputError: one is not usable.

    >>> where_of({"on": "slurm", "timeout_min": 30}).timeout_min
    30
    """
    plain: dict[str, Any] = {
        name: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        for name, value in settings.items()
    }
    where = Where(**plain)
    require_choice("hydra.launcher.on", where.on, PLACES)
    require_count("hydra.launcher.timeout_min", where.timeout_min)
    if where.memory_gb is not None:
        require_number("hydra.launcher.memory_gb", where.memory_gb, low=0, open_low=True)
    if where.on == "ray" and (where.slurm or where.partition is not None):
        raise InputError(
            "hydra.launcher.slurm, hydra.launcher.partition: are of hydra.launcher.on=slurm; leave them out"
        )
    return where
