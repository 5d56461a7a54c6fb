"""A group of replicas as a job of SLURM, which is queued again if SLURM ends it early."""

import os
import signal
from dataclasses import dataclass, replace
from typing import Any

from sgbench.replicas.jobs import GroupJob


@dataclass
class SlurmGroupJob(GroupJob):
    """Runs a group of points; on SLURM's signal before a time-out or a preemption it saves and is queued again."""

    def __call__(self) -> None:
        """Run the points, and stop them in time when SLURM or the sweep signals that the job will end."""
        preempt = _preemption_signal()
        self.requeue: Any = signal.getsignal(preempt)  # submitit's handler, which queues the job again and exits
        self.received_signal: int | None = None
        if self.alone:
            # A run writes a checkpoint after every epoch, so submitit's handler may exit at once.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        else:
            signal.signal(preempt, self._on_signal)
            signal.signal(signal.SIGTERM, self._on_signal)
        super().__call__()

    def _on_signal(self, number: int, _: object) -> None:
        """Stop the group before its next batch, since submitit's handler would exit within one."""
        self.stop_requested, self.received_signal = True, number

    def stopped(self) -> None:
        """Have the job queued again if SLURM stopped it; a stop that the sweep requests ends it for good."""
        preempt = _preemption_signal()
        if self.received_signal == preempt:
            self.requeue(preempt, None)

    def checkpoint(self) -> Any:
        """Return the same group for submitit to run again; it continues from the checkpoints of its runs."""
        from submitit.helpers import DelayedSubmission  # pyright: ignore[reportMissingImports]

        return DelayedSubmission(replace(self))


def _preemption_signal() -> int:
    """Return the number of the signal that SLURM sends before it ends a job, as submitit configures it."""
    name = os.environ.get("SUBMITIT_PREEMPT_SIGNAL", "USR2")
    return getattr(signal, f"SIG{name.removeprefix('SIG')}")
