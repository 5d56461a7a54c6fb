"""Groups of a sweep over processes, one a core."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from sgbench.records.spec import RunSpec
from sgbench.replicas.grouping import PointGroup
from sgbench.replicas.messages import PruningThresholds, WorkerMessage
from sgbench.replicas.worker import prepare, work
from sgbench.training.memory import available_bytes

TICK_S = 0.5  # at most, between two looks at the clock


@dataclass
class _Running:
    process: BaseProcess
    group: PointGroup
    open: set[int] = field(default_factory=set)  # points that have not ended


class WorkerPool:
    """Runs groups in processes of this machine and passes on their messages.

    Args:
        specs: all points of the sweep.
        workers: processes at a time.
        largest: replicas at a time in one process, or None for as many as fit in memory.
        hear: called with a message after each epoch and at every end.
        tick: called at least twice a second.
        thresholds: by index, of runs that may be stopped early.
    """

    def __init__(
        self,
        specs: Sequence[RunSpec],
        workers: int,
        largest: int | None,
        hear: Callable[[WorkerMessage], None],
        tick: Callable[[], None],
        thresholds: Mapping[int, PruningThresholds] | None = None,
    ) -> None:
        self.specs = specs
        self.thresholds = thresholds or {}
        self.workers = workers
        self.largest = largest
        free_bytes = available_bytes()
        self.memory_bytes = None if free_bytes is None else free_bytes // workers
        self.hear = hear
        self.tick = tick
        self.running: dict[Any, _Running] = {}  # by the pipe that it speaks through

    def run(self, groups: Sequence[PointGroup]) -> None:
        """Run all groups; on an interrupt, let all workers save their state and stop."""
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        if any(map(_may_fork, groups)):
            prepare([self.specs[point] for group in groups for point in group.points])
        waiting = deque(groups)
        try:
            while waiting or self.running:
                while waiting and len(self.running) < self.workers:
                    self._start(waiting.popleft())
                for pipe in wait(list(self.running), timeout=TICK_S):
                    waiting.extend(self._listen(pipe))
                self.tick()
        finally:
            for one in self.running.values():
                one.process.terminate()
            for one in self.running.values():
                one.process.join()

    def _start(self, group: PointGroup) -> None:
        points = [(point, self.specs[point]) for point in group.points]
        ours, theirs = multiprocessing.Pipe(duplex=False)
        settings: dict[str, Any] = {
            "alone": group.alone is not None,
            "largest": self.largest,
            "memory_bytes": self.memory_bytes,
            "thresholds": {
                point: self.thresholds[point] for point in group.points if point in self.thresholds
            },
        }
        if _may_fork(group):
            # A copy of our ends in a worker would keep it from seeing that we are gone.
            settings["inherited"] = (*self.running, ours)
        context: Any = multiprocessing.get_context("fork" if _may_fork(group) else "spawn")
        process = context.Process(target=work, args=(points, theirs), kwargs=settings)
        process.start()
        theirs.close()
        self.running[ours] = _Running(process, group, set(group.points))

    def _listen(self, pipe: Any) -> list[PointGroup]:
        """Receive one message from a worker; if it died, return the points to run again."""
        one = self.running[pipe]
        try:
            message = pipe.recv()
        except EOFError:
            del self.running[pipe]
            one.process.join()
            return self._groups_left(one)
        if message.kind in ("ended", "refused", "pruned"):
            one.open.discard(message.point)
        self.hear(message)
        return []

    def _groups_left(self, one: _Running) -> list[PointGroup]:
        """Split a dead worker's points into groups of one, to see whose fault it was; report one that was alone."""
        if len(one.group.points) > 1:
            return [PointGroup((point,), one.group.alone) for point in sorted(one.open)]
        for point in one.open:
            code = one.process.exitcode or 0
            how = f"by signal {-code}; often for want of memory" if code < 0 else f"with exit code {code}"
            self.hear(WorkerMessage(point, "refused", line=f"its process was ended {how}"))
        return []


def _may_fork(group: PointGroup) -> bool:
    """Return whether the process of these points is forked off the sweep's, or starts afresh.

    The sweep has loaded all that replicas need, to check the points; each worker would spend two seconds on that
    again. Those that run alone may need an accelerator or threads of their own, and neither outlives a fork; nor
    does Apple's linear algebra.
    """
    return group.alone is None and sys.platform == "linux"
