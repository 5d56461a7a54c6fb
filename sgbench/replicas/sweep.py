"""A whole sweep: what is finished is skipped, the rest runs as replicas."""

from __future__ import annotations

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
        points: indices of those to run.
        workers: processes, or jobs of a cluster; None is one a core, or one for sixteen points.
        largest: replicas at a time in one process, or None for as many as fit in memory.
        headline: a record in one line.
        refused: called with the exit code of each problem that is not a point's own failure.
        thresholds: by index, of runs that are stopped early where their validation stays below; those that run
            alone are not.
        where: this machine or a cluster.

    Raises:
        InputError: the cluster is not there, or refuses the jobs.
    """
    finished = {point: record for point in points if (record := finished_record(specs[point])) is not None}
    left = [point for point in points if point not in finished]
    if not left:
        return []
    first = {folder_of(specs[point]): point for point in reversed(left)}
    twins = [point for point in left if first[folder_of(specs[point])] != point]  # the same run once more
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
            view.hear(
                WorkerMessage(
                    point, "ended", line="its twin has no record", record=stored_record(specs[point])
                )
            )
    finally:
        view.close()
    return view.problems


class GroupRunner(Protocol):
    """Runs groups of points here or on a cluster."""

    def run(self, groups: Sequence[PointGroup]) -> None:
        """Run all; on an interrupt, all save what they have and stop."""
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
    """Return the factory of the pool of a machine or cluster, which is called with what hears its messages."""
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
