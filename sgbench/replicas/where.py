"""The machine or cluster that runs a sweep's groups: this machine, SLURM or Ray, and its settings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import OmegaConf

from sgbench.errors import InputError, require_choice, require_count, require_number
from sgbench.replicas.cluster import Cluster

PLACES = ("local", "slurm", "ray")
POINTS_A_JOB = 16
"""Points of one job if the user does not set the number of jobs; so many pay for the start of a process."""


@dataclass(frozen=True)
class Where:
    """Holds the machine or cluster that runs a sweep, and its settings."""

    on: str = "local"  # local, slurm or ray
    memory_gb: float | None = None  # most memory of a cluster's job [GiB]; None: what its replicas need
    timeout_min: int = 60  # time limit of a job on SLURM
    partition: str | None = None  # of SLURM; None: its default
    slurm: Mapping[str, Any] = field(default_factory=dict)  # further settings of submitit
    address: str | None = None  # of a Ray cluster; None starts one on this machine

    @property
    def most_bytes(self) -> int | None:
        """Return the most memory of a job [bytes], or None if it is not set."""
        return None if self.memory_gb is None else int(self.memory_gb * (1 << 30))

    def groups_of(self, points: int) -> int | None:
        """Return the default number of a cluster's jobs for so many points; None on this machine."""
        return None if self.on == "local" else math.ceil(points / POINTS_A_JOB)

    def cluster(self, workers: int | None) -> Cluster | None:
        """Return a connection to the cluster, which runs so many jobs at a time; None on this machine."""
        if self.on == "local":
            return None
        if self.on == "slurm":
            from sgbench.replicas.slurm import Slurm

            return Slurm(workers=workers, partition=self.partition, timeout_min=self.timeout_min, settings=self.slurm)
        from sgbench.replicas.cluster import RayCluster

        return RayCluster(workers=workers, address=self.address)


HERE = Where()


def where_of(settings: Mapping[str, Any]) -> Where:
    """Check the settings of `hydra.launcher`, and return the place that they describe.

    >>> where_of({"on": "slurm", "timeout_min": 30}).timeout_min
    30
    """
    plain_settings: dict[str, Any] = {
        name: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value for name, value in settings.items()
    }
    where = Where(**plain_settings)
    require_choice("hydra.launcher.on", where.on, PLACES)
    require_count("hydra.launcher.timeout_min", where.timeout_min)
    if where.memory_gb is not None:
        require_number("hydra.launcher.memory_gb", where.memory_gb, low=0, open_low=True)
    if where.on == "ray" and (where.slurm or where.partition is not None):
        raise InputError(
            "hydra.launcher.slurm, hydra.launcher.partition: are of hydra.launcher.on=slurm; leave them out"
        )
    return where
