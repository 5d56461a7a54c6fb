"""Groups of replicas as jobs of SLURM, submitted as arrays by submitit."""

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

QUERY_S = 5.0  # between two queries of the controller, which serves a whole site
WAIT_S = 45.0  # longest wait for jobs to save and end; SLURM kills them after KillWait, 30 s by default
MOST_REQUEUES = 10_000  # each time limit of a job costs one
UNKNOWN_ID = "Invalid job id"
"""SLURM's message for ids that it has forgotten."""


class Slurm:
    """Runs groups of a sweep's points as arrays of jobs on SLURM; see `cluster.Cluster`.

    `workers`: most jobs at a time; None: as many as SLURM allows. `partition`: partition of the cluster; None: its
    default. `timeout_min`: time limit of a job [min], after which it is queued again. `settings`: further settings of
    submitit for SLURM, such as account or qos.
    """

    job_type = SlurmGroupJob

    def __init__(
        self, *, workers: int | None, partition: str | None, timeout_min: int, settings: Mapping[str, Any]
    ) -> None:
        if find_spec("submitit") is None:
            raise InputError("hydra.launcher.on=slurm: needs submitit: pip install 'sgbench[slurm]'")
        missing = [name for name in ("sbatch", "srun", "squeue", "scancel") if shutil.which(name) is None]
        if missing:
            raise InputError(
                f"hydra.launcher.on=slurm: {missing[0]} is not on the PATH; call sgbench on a machine of it, "
                f"or take hydra.launcher.on=local"
            )
        optional = {"partition": partition, "array_parallelism": workers}
        self.settings = {
            "job_name": "sgbench",
            "time": timeout_min,
            **{name: value for name, value in optional.items() if value is not None},
            **settings,
        }
        self.queried_s = -QUERY_S  # time of the last query
        self.states: dict[str, tuple[str, str]] = {}  # by job id: state, and why it waits
        self.answered = False  # whether the controller has answered since the last submission
        self.reported: set[str] = set()  # reasons for waiting that were reported

    def start(self, jobs: Sequence[GroupJob], needs: JobNeeds) -> Sequence[str]:
        """Submit jobs as one array; the user's settings win over `needs`. Returns SLURM's ids."""
        import submitit  # pyright: ignore[reportMissingImports]

        executor = submitit.SlurmExecutor(folder=jobs[0].folder, max_num_timeout=MOST_REQUEUES)
        memory = {"mem": f"{needs.memory_bytes >> 20}M", "cpus_per_task": needs.threads}
        try:
            executor.update_parameters(**{**memory, **self.settings})
            jobs_started = executor.submit_array(list(jobs))
        except Exception as error:
            raise InputError(f"hydra.launcher.on=slurm: {one_printable_line(error)}") from error
        self.queried_s, self.answered = -QUERY_S, False
        return [job.job_id for job in jobs_started]

    def ended(self, handles: Sequence[str]) -> Mapping[str, str]:
        """Return how jobs have ended, for those that left SLURM's queue; none before the controller answers.

        The controller is queried at most every `QUERY_S` seconds; in between its last answer is used.
        """
        if handles and time.monotonic() - self.queried_s >= QUERY_S:
            self.queried_s = time.monotonic()
            self._query(handles)
        if not self.answered:
            return {}
        return {
            handle: "left SLURM's queue before its points had ended" for handle in handles if handle not in self.states
        }

    def _query(self, handles: Sequence[str]) -> None:
        """Query the controller for the states of jobs, into `states`; the last answer stays if it fails."""
        ids = ",".join(sorted({handle.partition("_")[0] for handle in handles}))
        command = ["squeue", "--noheader", "--array", "--format=%i|%T|%r", f"--jobs={ids}"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired):
            return
        if answer.returncode and UNKNOWN_ID not in answer.stderr:
            return
        rows = [line.split("|", 2) for line in answer.stdout.splitlines() if line.count("|") >= 2]  # noqa: PLR2004
        self.states = {job_id: (state, reason) for job_id, state, reason in rows}
        self.answered = True

    def waits(self) -> Sequence[str]:
        """Return lines on why jobs wait, each reason once, but not that others come first."""
        reasons = {reason for state, reason in self.states.values() if state == "PENDING"}
        new_reasons = sorted(reasons - self.reported - {"None", "Priority"})
        self.reported |= reasons
        return [f"jobs wait in SLURM's queue: {reason}" for reason in new_reasons]

    def cancel(self, handles: Sequence[str]) -> None:
        """Stop jobs, running ones by SIGTERM so that they save, and wait for their end up to `WAIT_S` seconds."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(["scancel", *handles], capture_output=True, timeout=60, check=False)  # noqa: S603, S607
        until_s = time.monotonic() + WAIT_S
        while time.monotonic() < until_s:
            self._query(handles)
            if self.answered and not set(handles) & set(self.states):
                return
            time.sleep(1)

    def close(self) -> None:
        """Do nothing, since there is no connection."""
