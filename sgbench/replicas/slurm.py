"""SLURM through submitit: arrays whose jobs are groups of replicas."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from sgbench.errors import InputError, one_printable_line
from sgbench.replicas.cluster import JobNeeds
from sgbench.replicas.jobs import GroupJob
from sgbench.replicas.slurm_job import SlurmGroupJob

ASK_S = 5.0  # between two questions to the controller, which serves a whole site
WAIT_S = 45.0  # for jobs to save and end; SLURM kills them after KillWait, which is 30 s as it ships
MOST_REQUEUES = 10_000  # each of which a time limit of some epochs may cost
GONE = "Invalid job id"
"""What SLURM says of ids that it has forgotten."""


class Slurm:
    """Runs groups of a sweep as arrays of jobs on SLURM.

    Args:
        workers: jobs that run at a time, or None for as many as SLURM lets.
        partition: of the cluster, or None for its default.
        timeout_min: time limit of a job, which is queued again when it is over.
        settings: more of submitit's settings for SLURM, such as account or qos.

    Raises:
        InputError: submitit or SLURM is not there.
    """

    job_type = SlurmGroupJob

    def __init__(
        self,
        *,
        workers: int | None,
        partition: str | None,
        timeout_min: int,
        settings: Mapping[str, Any],
    ) -> None:
        if find_spec("submitit") is None:
            raise InputError("hydra.launcher.on=slurm: needs submitit: pip install 'sgbench[slurm]'")
        missing = [name for name in ("sbatch", "srun", "squeue", "scancel") if shutil.which(name) is None]
        if missing:
            raise InputError(
                f"hydra.launcher.on=slurm: {missing[0]} is not on the PATH; call sgbench on a machine of it, "
                f"or take hydra.launcher.on=local"
            )
        self.settings = {
            "job_name": "sgbench",
            "time": timeout_min,
            **({} if partition is None else {"partition": partition}),
            **({} if workers is None else {"array_parallelism": workers}),
            **settings,
        }
        self.asked_s = -ASK_S
        self.states: dict[str, tuple[str, str]] = {}  # by id: state, and why it waits
        self.answered = False
        self.reported: set[str] = set()

    def start(self, jobs: Sequence[GroupJob], needs: JobNeeds) -> Sequence[str]:
        """Submit the groups as an array of jobs.

        Raises:
            InputError: SLURM refuses it, or does not know a setting.
        """
        import submitit  # pyright: ignore[reportMissingImports]

        executor = submitit.SlurmExecutor(folder=jobs[0].folder, max_num_timeout=MOST_REQUEUES)
        memory = {"mem": f"{needs.memory_bytes >> 20}M", "cpus_per_task": needs.threads}
        try:
            executor.update_parameters(**{**memory, **self.settings})
            jobs_started = executor.submit_array(list(jobs))
        except Exception as error:
            raise InputError(f"hydra.launcher.on=slurm: {one_printable_line(error)}") from error
        self.asked_s, self.answered = -ASK_S, False
        return [job.job_id for job in jobs_started]

    def ended(self, handles: Sequence[str]) -> Mapping[str, str]:
        """Ask SLURM's controller which jobs have ended; nothing while it does not answer.

        An earlier answer about these jobs stays in use until the next one.
        """
        if handles and time.monotonic() - self.asked_s >= ASK_S:
            self.asked_s = time.monotonic()
            self._ask(handles)
        if not self.answered:
            return {}
        return {
            handle: "left SLURM's queue before its points had ended"
            for handle in handles
            if handle not in self.states
        }

    def _ask(self, handles: Sequence[str]) -> None:
        ids = ",".join(sorted({handle.partition("_")[0] for handle in handles}))
        command = ["squeue", "--noheader", "--array", "--format=%i|%T|%r", f"--jobs={ids}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired):
            return
        if done.returncode and GONE not in done.stderr:
            return
        rows = [line.split("|", 2) for line in done.stdout.splitlines() if line.count("|") >= 2]  # noqa: PLR2004
        self.states = {name: (state, reason) for name, state, reason in rows}
        self.answered = True

    def waits(self) -> Sequence[str]:
        """Describe why jobs wait, each reason once."""
        reasons = {reason for state, reason in self.states.values() if state == "PENDING"}
        new = sorted(reasons - self.reported - {"None", "Priority"})
        self.reported |= reasons
        return [f"jobs wait in SLURM's queue: {reason}" for reason in new]

    def cancel(self, handles: Sequence[str]) -> None:
        """Stop jobs, the running ones by SIGTERM, at which they save, and wait for their end."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(["scancel", *handles], capture_output=True, timeout=60, check=False)  # noqa: S603, S607
        until_s = time.monotonic() + WAIT_S
        while time.monotonic() < until_s:
            self._ask(handles)
            if self.answered and not set(handles) & set(self.states):
                return
            time.sleep(1)

    def close(self) -> None:
        """Do nothing, since no connection is held."""
