"""A whole sweep: finished points are skipped, and the others run as replicas."""

import multiprocessing
import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

from sgbench.paths import processors
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.replicas.cluster import ClusterPool
from sgbench.replicas.grouping import PointGroup, groups
from sgbench.replicas.messages import PruningThresholds, WorkerMessage
from sgbench.replicas.view import SweepView
from sgbench.replicas.where import HERE, Where
from sgbench.replicas.worker import prepare, work
from sgbench.training.memory import available_bytes
from sgbench.training.run_folder import finished_record, folder_of, stored_record

TICK_S = 0.5  # longest time between two calls of `tick`


@dataclass
class _Running:
    """Holds a worker's process and the state of its points."""

    process: BaseProcess
    group: PointGroup
    open: set[int] = field(default_factory=set)  # points that have not ended


class WorkerPool:
    """Runs groups of points in processes of this machine, and passes on their messages.

    `specs`: all points of the sweep. `workers`: most processes at a time. `largest`: most replicas at a time in one
    process; None: as many as fit in memory. `hear`: called with a message after each epoch and at each end. `tick`:
    called at least twice a second. `thresholds`: maps points that may be stopped early to their pruning thresholds.
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
        self.specs, self.thresholds = specs, thresholds or {}
        self.workers, self.largest = workers, largest
        free_bytes = available_bytes()
        self.memory_bytes = None if free_bytes is None else free_bytes // workers
        self.hear, self.tick = hear, tick
        self.running: dict[Any, _Running] = {}  # by the pipe from which its messages are read

    def run(self, groups: Sequence[PointGroup]) -> None:
        """Run all groups; on an interrupt, stop all workers after they have saved their state."""
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
            for running in self.running.values():
                running.process.terminate()
            for running in self.running.values():
                running.process.join()

    def _start(self, group: PointGroup) -> None:
        """Start a process that runs a group, and remember the pipe on which it reports."""
        points = [(point, self.specs[point]) for point in group.points]
        receiving, sending = multiprocessing.Pipe(duplex=False)
        settings: dict[str, Any] = {
            "alone": group.alone is not None,
            "largest": self.largest,
            "memory_bytes": self.memory_bytes,
            "thresholds": {point: self.thresholds[point] for point in group.points if point in self.thresholds},
        }
        if _may_fork(group):
            # A worker closes its copies of the receiving ends, so that it notices when this process is gone.
            settings["inherited"] = (*self.running, receiving)
        context: Any = multiprocessing.get_context("fork" if _may_fork(group) else "spawn")
        process = context.Process(target=work, args=(points, sending), kwargs=settings)
        process.start()
        sending.close()
        self.running[receiving] = _Running(process, group, set(group.points))

    def _listen(self, pipe: Any) -> list[PointGroup]:
        """Receive and pass on one message of a worker; if it has ended, return the groups to run in its place."""
        running = self.running[pipe]
        try:
            message = pipe.recv()
        except EOFError:
            del self.running[pipe]
            running.process.join()
            return self._groups_to_rerun(running)
        if message.kind in ("ended", "refused", "pruned"):
            running.open.discard(message.point)
        self.hear(message)
        return []

    def _groups_to_rerun(self, ended: _Running) -> list[PointGroup]:
        """Return a group for each open point of a worker that has ended, to find the one that fails.

        A point that was alone in its process is reported as refused instead.
        """
        if len(ended.group.points) > 1:
            return [PointGroup((point,), ended.group.alone) for point in sorted(ended.open)]
        for point in ended.open:
            code = ended.process.exitcode or 0
            how = f"by signal {-code}; often for want of memory" if code < 0 else f"with exit code {code}"
            self.hear(WorkerMessage(point, "refused", line=f"its process was ended {how}"))
        return []


def _may_fork(group: PointGroup) -> bool:
    """Return whether the worker of a group is forked from this process, rather than started anew.

    A fork saves two seconds for imports. Points that run alone may need an accelerator or threads, which do not
    work after a fork; neither does Apple's linear algebra.
    """
    return group.alone is None and sys.platform == "linux"


def run_sweep(
    specs: Sequence[RunSpec],
    points: Sequence[int],
    *,
    workers: int | None,
    largest: int | None,
    headline: Callable[[RunRecord], str],
    refused: Callable[[int], None] = lambda _: None,
    thresholds: Mapping[int, PruningThresholds] | None = None,
    where: Where = HERE,
) -> list[str]:
    """Run the points of a sweep; return a line for each that could not be run at all.

    `specs`: all points, checked. `points`: indices of the points to run. `workers`: number of processes, or of a
    cluster's jobs; None: one for each core, or for sixteen points. `largest`: most replicas at a time in one process;
    None: as many as fit in memory. `headline`: function that returns a record as one line. `refused`: called with the
    exit code of each problem that is not a failure of the run itself. `thresholds`: maps points to pruning thresholds;
    points that run alone are not stopped early. `where`: this machine or a cluster.
    """
    records = {point: finished_record(specs[point]) for point in points}
    finished = {point: record for point, record in records.items() if record is not None}
    unfinished = [point for point in points if point not in finished]
    if not unfinished:
        return []
    first_points = {folder_of(specs[point]): point for point in reversed(unfinished)}  # the first one of each run
    duplicates = [point for point in unfinished if first_points[folder_of(specs[point])] != point]
    to_run = sorted(first_points.values())
    most_groups = workers or where.groups_of(len(to_run)) or processors()
    count = max(1, min(most_groups, len(to_run)))
    point_groups = groups(specs, to_run, count)
    start = _starter(specs, where, workers=workers, count=count, largest=largest, thresholds=thresholds)
    view = SweepView(specs, finished, headline)

    def hear(message: WorkerMessage) -> None:
        view.hear(message)
        if message.exit_code:
            refused(message.exit_code)

    try:
        reasons = Counter(group.alone for group in point_groups if group.alone is not None)
        for reason, points_alone in reasons.items():
            view.say(f"{points_alone} points run alone: {reason}")
        start(hear, view.tick).run(point_groups)
        for point in duplicates:
            view.hear(WorkerMessage(point, "ended", line="its twin has no record", record=stored_record(specs[point])))
    finally:
        view.close()
    return view.problems


class GroupRunner(Protocol):
    """Defines what runs groups of points, here or on a cluster."""

    def run(self, groups: Sequence[PointGroup]) -> None:
        """Run all groups; on an interrupt, stop them after they have saved their state."""


Hear = Callable[[WorkerMessage], None]
Tick = Callable[[], None]


def _starter(
    specs: Sequence[RunSpec],
    where: Where,
    *,
    workers: int | None,
    count: int,
    largest: int | None,
    thresholds: Mapping[int, PruningThresholds] | None,
) -> Callable[[Hear, Tick], GroupRunner]:
    """Connect to the cluster, if there is one; return a function of `hear` and `tick` that creates the pool."""
    cluster = where.cluster(workers)
    if cluster is None:
        return lambda hear, tick: WorkerPool(specs, count, largest, hear, tick, thresholds)
    return lambda hear, tick: ClusterPool(
        specs,
        cluster,
        Path(specs[0].paths.runs_dir),
        largest=largest,
        most_bytes=where.most_bytes,
        hear=hear,
        tick=tick,
        thresholds=thresholds,
    )
