"""`hydra/launcher=replicas`: all points of a sweep at once. Hydra imports this file whenever it starts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


@dataclass
class ReplicasConf:
    """Holds the settings of the launcher, set as hydra.launcher.NAME."""

    _target_: str = "hydra_plugins.sgbench_replicas.launcher.ReplicasLauncher"
    workers: Optional[int] = None  # noqa: UP045 - OmegaConf reads it; processes; null: one a core, or a job for 16 points
    largest: Optional[int] = None  # noqa: UP045 - runs at a time in one process; null is as many as fit in memory
    on: str = "local"  # local, slurm or ray
    memory_gb: Optional[float] = None  # noqa: UP045 - of a job on a cluster; null is what its runs need
    timeout_min: int = 60  # of a job on slurm, which is queued again at its end
    partition: Optional[str] = None  # noqa: UP045 - of slurm; null is its default
    slurm: dict[str, Any] = field(default_factory=dict)  # further settings of submitit, such as account or qos
    address: Optional[str] = None  # noqa: UP045 - of a ray cluster, e.g. auto; null starts one on this machine


class ReplicasLauncher(Launcher):
    """Passes all points of a sweep to sgbench at once, while Hydra's own launchers run one job after another.

    `ReplicasConf` describes `workers` and `largest`; `where`: its other settings, see `sgbench.replicas.where`.
    """

    def __init__(self, workers: int | None, largest: int | None, **where: Any) -> None:
        self.workers = workers
        self.largest = largest
        self.where = where

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store the task function and the configuration; Hydra calls this before `launch`."""
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the points whose overrides are given; the results are in their records, so each job returns None."""
        launch: Any = getattr(self.task_function, "launch_replicas", None)
        if launch is None:
            raise HydraException("hydra/launcher=replicas runs sweeps of `sgbench run`; use another launcher here")
        launch(job_overrides, initial_job_idx, workers=self.workers, largest=self.largest, where=self.where)
        jobs = []
        for overrides in job_overrides:
            job = JobReturn(overrides=list(overrides), cfg=self.config, task_name="sgbench")
            job.status, job.return_value = JobStatus.COMPLETED, None
            jobs.append(job)
        return jobs


SETTINGS = OmegaConf.structured(ReplicasConf)
OmegaConf.set_struct(SETTINGS.slurm, False)  # otherwise Hydra would refuse all keys, since the default is empty
ConfigStore.instance().store(group="hydra/launcher", name="replicas", node=SETTINGS, provider="sgbench")
