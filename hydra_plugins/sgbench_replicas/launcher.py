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
    """Holds what can be set of the launcher as hydra.launcher.NAME."""

    _target_: str = "hydra_plugins.sgbench_replicas.launcher.ReplicasLauncher"
    workers: Optional[int] = None  # noqa: UP045 - OmegaConf reads it; processes; null is one a core, or a job for 16 points
    largest: Optional[int] = None  # noqa: UP045 - replicas at a time in one process; null is as many as fit in memory
    on: str = "local"  # local, slurm or ray
    memory_gb: Optional[float] = None  # noqa: UP045 - of a job of a cluster; null is what its replicas need
    timeout_min: int = 60  # of a job on slurm, which is queued again when it is over
    partition: Optional[str] = None  # noqa: UP045 - of slurm; null is its default
    slurm: dict[str, Any] = field(default_factory=dict)  # more of submitit's settings, such as account or qos
    address: Optional[str] = None  # noqa: UP045 - of a ray cluster, e.g. auto; null starts one on this machine


class ReplicasLauncher(Launcher):
    """Hands a sweep to sgbench as a whole, where Hydra's own launchers run one job after another.

    Args:
        workers: processes, or jobs of a cluster; None is one a core, or one for sixteen points.
        largest: replicas at a time in one process, or None for as many as fit in memory.
        where: this machine or a cluster, and what is asked of it; see `sgbench.replicas.where`.
    """

    def __init__(self, workers: int | None, largest: int | None, **where: Any) -> None:
        self.workers = workers
        self.largest = largest
        self.where = where

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what launching needs."""
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run all jobs; each has its record, so nothing is returned of them.

        Raises:
            HydraException: the application is not `sgbench run`.
        """
        launch: Any = getattr(self.task_function, "launch_replicas", None)
        if launch is None:
            raise HydraException(
                "hydra/launcher=replicas runs sweeps of `sgbench run`; use another launcher here"
            )
        launch(job_overrides, initial_job_idx, workers=self.workers, largest=self.largest, where=self.where)
        done = []
        for overrides in job_overrides:
            job = JobReturn(overrides=list(overrides), cfg=self.config, task_name="sgbench")
            job.status, job.return_value = JobStatus.COMPLETED, None
            done.append(job)
        return done


SETTINGS = OmegaConf.structured(ReplicasConf)
OmegaConf.set_struct(SETTINGS.slurm, False)  # else Hydra takes no key that is not there already
ConfigStore.instance().store(group="hydra/launcher", name="replicas", node=SETTINGS, provider="sgbench")
