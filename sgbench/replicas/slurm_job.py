"""A group of replicas as a job of SLURM, which is queued again when SLURM ends it early."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, replace
from typing import Any

from sgbench.replicas.jobs import GroupJob


@dataclass
class SlurmGroupJob(GroupJob):
    """Saves a group of points and has it queued again on SLURM's signal before a time-out or for a preemption."""

    def __call__(self) -> None:
        """Run the group of points with SLURM's signals."""
        preempt = _preemption()
        self.requeue: Any = signal.getsignal(
            preempt
        )  # submitit's: has SLURM queue this job again, and leaves
        self.received_signal: int | None = None
        if self.alone:
            # Lightning has a checkpoint after every epoch, so submitit's own handler may leave at once.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        else:
            signal.signal(preempt, self._on_signal)
            signal.signal(signal.SIGTERM, self._on_signal)
        super().__call__()

    def _on_signal(self, number: int, _: object) -> None:
        """Ask the group to save at the next batch, since submitit would leave in the middle of one."""
        self.asked, self.received_signal = True, number

    def stopped(self) -> None:
        """Queue the job again if SLURM, and not the sweep, asked it to leave."""
        preempt = _preemption()
        if self.received_signal == preempt:
            self.requeue(preempt, None)

    def checkpoint(self) -> Any:
        """Return the same group for submitit to run again, since folders of runs hold what was saved."""
        from submitit.helpers import DelayedSubmission  # pyright: ignore[reportMissingImports]

        return DelayedSubmission(replace(self))


def _preemption() -> int:
    """Return the signal that submitit asks SLURM to send."""
    name = os.environ.get("SUBMITIT_PREEMPT_SIGNAL", "USR2")
    return getattr(signal, f"SIG{name.removeprefix('SIG')}")
