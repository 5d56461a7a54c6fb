"""A whole sweep: finished points are skipped, and the others run as replicas."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from sgbench.paths import processors
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.replicas.cluster import ClusterPool
from sgbench.replicas.grouping import PointGroup, groups
from sgbench.replicas.messages import PruningThresholds, WorkerMessage
from sgbench.replicas.pool import WorkerPool
from sgbench.replicas.view import SweepView
from sgbench.replicas.where import HERE, Where
from sgbench.training.run_folder import finished_record, folder_of, stored_record


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

    Args:
        specs: all points, checked.
        points: indices of the points to run.
        workers: number of processes, or of a cluster's jobs; None: one for each core, or for sixteen points.
        largest: most replicas at a time in one process; None: as many as fit in memory.
        headline: function that returns a record as one line.
        refused: called with the exit code of each problem that is not a failure of the run itself.
        thresholds: maps points to pruning thresholds; points that run alone are not stopped early.
        where: this machine or a cluster.
    """
    finished = {point: record for point in points if (record := finished_record(specs[point])) is not None}
    left = [point for point in points if point not in finished]
    if not left:
        return []
    first = {folder_of(specs[point]): point for point in reversed(left)}
    twins = [point for point in left if first[folder_of(specs[point])] != point]  # repetitions of another point
    left = sorted(first.values())
    count = max(1, min(workers or where.groups_of(len(left)) or processors(), len(left)))
    point_groups = groups(specs, left, count)
    start = _starter(specs, where, workers=workers, count=count, largest=largest, thresholds=thresholds)
    view = SweepView(specs, finished, headline)

    def hear(message: WorkerMessage) -> None:
        view.hear(message)
        if message.exit_code:
            refused(message.exit_code)

    try:
        reasons = Counter(group.alone for group in point_groups if group.alone is not None)
        for reason, alone in reasons.items():
            view.say(f"{alone} points run alone: {reason}")
        start(hear, view.tick).run(point_groups)
        for point in twins:
            view.hear(WorkerMessage(point, "ended", line="its twin has no record", record=stored_record(specs[point])))
    finally:
        view.close()
    return view.problems


class GroupRunner(Protocol):
    """Defines what runs groups of points, here or on a cluster."""

    def run(self, groups: Sequence[PointGroup]) -> None:
        """Run all groups; on an interrupt, stop them after they have saved their state."""
        ...


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
