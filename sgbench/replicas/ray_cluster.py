"""Groups of replicas as tasks of Ray, on this machine or on a running cluster."""

import contextlib
import logging
import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from sgbench.errors import InputError, one_printable_line
from sgbench.replicas.cluster import JobNeeds
from sgbench.replicas.jobs import GroupJob

WAIT_S = 30.0  # longest wait for tasks to notice the file that requests them to save
STORE_BYTES = 100 << 20  # size of Ray's object store, which sgbench does not use


class RayCluster:
    """Runs groups of a sweep's points as tasks of Ray; see `cluster.Cluster`.

    `workers`: most tasks at a time on a cluster that is started here; None: one for each core. `address`: address of a
    running cluster, e.g. "auto"; None starts one on this machine, and ends it.
    """

    job_type = GroupJob

    def __init__(self, *, workers: int | None, address: str | None) -> None:
        if find_spec("ray") is None:
            raise InputError("hydra.launcher.on=ray: needs Ray: pip install 'sgbench[ray]'")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # devices stay visible, no warning
        import ray  # pyright: ignore[reportMissingImports]

        self.ray: Any = ray
        self.is_ours = not ray.is_initialized()
        here = {"num_cpus": workers, "object_store_memory": STORE_BYTES, "include_dashboard": False}
        if self.is_ours:
            try:
                ray.init(
                    address=address or "local",
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    **(here if address is None else {}),
                )
            except Exception as error:
                where = "" if address is None else f" address={address}"
                raise InputError(f"hydra.launcher.on=ray{where}: {one_printable_line(error)}") from error
        self.tasks: dict[str, Any] = {}

    def start(self, jobs: Sequence[GroupJob], needs: JobNeeds) -> Sequence[str]:
        """Start a task for each job, with at most the memory of the largest node; return their ids."""
        largest = max((node["Resources"].get("memory", 0) for node in self.ray.nodes()), default=0)
        task = self.ray.remote(num_cpus=needs.threads, memory=min(needs.memory_bytes, int(largest)), max_retries=0)(
            _call
        )
        tasks = [task.remote(job) for job in jobs]
        handles = [task.hex() for task in tasks]
        self.tasks |= dict(zip(handles, tasks, strict=True))
        return handles

    def ended(self, handles: Sequence[str]) -> Mapping[str, str]:
        handle_of = {self.tasks[handle]: handle for handle in handles}
        if not handle_of:
            return {}
        ended, _ = self.ray.wait(list(handle_of), num_returns=len(handle_of), timeout=0)
        return {handle_of[task]: self._how(task) for task in ended}

    def _how(self, task: Any) -> str:
        """Describe how a task has ended, as a text that continues "its job ..."."""
        try:
            self.ray.get(task)
        except Exception as error:
            return f"was ended: {one_printable_line(error)}"
        return "ended before its points had"

    def waits(self) -> Sequence[str]:
        """Return no lines, since Ray does not report why a task waits."""
        return ()

    def cancel(self, handles: Sequence[str]) -> None:
        """Wait until running tasks have saved, up to `WAIT_S` seconds, and stop all others."""
        tasks = [self.tasks[handle] for handle in handles]
        _, late = self.ray.wait(tasks, num_returns=len(tasks), timeout=WAIT_S)
        for task in late:
            with contextlib.suppress(Exception):
                self.ray.cancel(task, force=True)

    def close(self) -> None:
        if self.is_ours:
            self.ray.shutdown()


def _call(job: GroupJob) -> None:
    job()
