"""Groups of a sweep as jobs of a cluster: submitted, followed by files of progress, submitted again where lost."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sgbench.records.spec import RunSpec
from sgbench.replicas.grouping import PointGroup
from sgbench.replicas.jobs import STOP, GroupJob
from sgbench.replicas.memory import need_bytes, wanted
from sgbench.replicas.messages import PruningThresholds, WorkerMessage
from sgbench.replicas.progress import OVER, ProgressReader
from sgbench.training.build import build
from sgbench.training.provenance import Code
from sgbench.training.run_folder import finished_record, stored_record

JOBS = ".jobs"
"""Folder in that of the runs where sweeps on clusters keep their jobs."""
SAVING = "sgbench-saving"
"""Name of the thread in which jobs are ended."""
TICK_S = 0.5  # between two looks at the files
GRACE_S = 3.0  # that a file may take from one machine to another
MOST_BYTES = 8 << 30  # that a job asks for where nobody said how much
ALONE_BYTES = 1 << 30  # of a run that shares nothing, beyond its network


@dataclass(frozen=True)
class JobNeeds:
    """Says what a job asks a cluster for."""

    memory_bytes: int  # at most
    threads: int


class Cluster(Protocol):
    """Starts jobs, and says which have ended."""

    @property
    def job_type(self) -> type[GroupJob]:
        """Return the class of the cluster's jobs."""
        ...

    def start(self, jobs: Sequence[GroupJob], needs: JobNeeds) -> Sequence[str]:
        """Submit jobs of equal needs; return a handle of each."""
        ...

    def ended(self, handles: Sequence[str]) -> Mapping[str, str]:
        """Find which jobs have ended, in whatever way, and how: text that follows `its job`."""
        ...

    def waits(self) -> Sequence[str]:
        """Describe what is worth knowing of jobs that have not begun, each line once."""
        ...

    def cancel(self, handles: Sequence[str]) -> None:
        """Stop jobs that were asked to save, and wait until they have ended."""
        ...

    def close(self) -> None:
        """Close the connection to the cluster."""
        ...


@dataclass
class _Started:
    job: GroupJob
    group: PointGroup
    reader: ProgressReader
    open: set[int]  # points that have not ended
    got_on: bool = False  # since it was handed in
    ended_s: float | None = None  # when it was first seen to have
    later: set[int] = field(default_factory=set)  # points that ended and whose record is on its way


class ClusterPool:
    """Runs groups as jobs of a cluster and passes on their messages.

    Args:
        specs: all points of the sweep.
        cluster: where.
        root: folder of the runs.
        largest: replicas at a time in one job, or None for as many as fit.
        most_bytes: memory of a job at most, or None for what its replicas need, up to 8 GiB.
        hear: called with a message after each epoch and at every end.
        tick: called about twice a second.
        thresholds: by index, of runs that may be stopped early.
    """

    def __init__(
        self,
        specs: Sequence[RunSpec],
        cluster: Cluster,
        root: Path,
        *,
        largest: int | None,
        most_bytes: int | None,
        hear: Callable[[WorkerMessage], None],
        tick: Callable[[], None],
        thresholds: Mapping[int, PruningThresholds] | None = None,
    ) -> None:
        self.specs = specs
        self.cluster = cluster
        self.folder = root.absolute() / JOBS / secrets.token_hex(4)
        self.largest = largest
        self.most_bytes = most_bytes
        self.hear = hear
        self.tick = tick
        self.thresholds = thresholds or {}
        self.made_by = Code.here().made_by({})
        self.running: dict[str, _Started] = {}  # by handle
        self.readers: list[ProgressReader] = []  # of all jobs so far
        self.count = 0  # of jobs so far
        self.lost = False  # whether one ended before its points, so that its log is of use

    def run(self, groups: Sequence[PointGroup]) -> None:
        """Run all groups; on an interrupt, let all jobs save their state and stop."""
        self.folder.mkdir(parents=True)
        whole = False
        try:
            self._start(groups)
            while self.running:
                time.sleep(TICK_S)
                self._start(self._read_messages())
                self.tick()
            whole = True
            self._report_cost(groups[0].points[0])
        finally:
            if self.running:
                (self.folder / STOP).touch()
                self.cancel_rest()
            self.cluster.close()
            if not self.readers or (whole and not self.lost):
                shutil.rmtree(self.folder, ignore_errors=True)

    def _report_cost(self, point: int) -> None:
        """Write how much processor time the jobs reported, start included."""
        cpu_s = sum(reader.cpu_s for reader in self.readers)
        self.hear(
            WorkerMessage(point, "noted", line=f"{self.count} jobs took {cpu_s:.1f} s of processor time")
        )

    def cancel_rest(self) -> None:
        """Stop all jobs that are left once they have saved, in a thread that an interrupted command waits for."""
        ending = threading.Thread(target=self.cluster.cancel, args=(list(self.running),), name=SAVING)
        ending.start()
        ending.join()

    # --- handing in

    def _start(self, groups: Sequence[PointGroup]) -> None:
        """Submit groups of points as jobs, those of equal needs together."""
        by_needs: dict[JobNeeds, list[PointGroup]] = {}
        for group in groups:
            by_needs.setdefault(self.needs(group), []).append(group)
        for needs, members in by_needs.items():
            jobs = [self._job(group, needs) for group in members]
            handles = self.cluster.start(jobs, needs)
            for handle, job, group in zip(handles, jobs, members, strict=True):
                reader = ProgressReader(job.progress, group.points[0])
                self.readers.append(reader)
                self.running[handle] = _Started(job, group, reader, set(group.points))

    def _job(self, group: PointGroup, needs: JobNeeds) -> GroupJob:
        self.count += 1
        return self.cluster.job_type(
            points=[(point, self.specs[point]) for point in group.points],
            folder=self.folder,
            name=str(self.count),
            alone=group.alone is not None,
            largest=self.largest,
            memory_bytes=needs.memory_bytes,
            thresholds={point: self.thresholds[point] for point in group.points if point in self.thresholds},
            made_by=self.made_by,
        )

    def needs(self, group: PointGroup) -> JobNeeds:
        """Compute the memory in which all replicas of a group fit, or as many as are let; whole hundreds of MiB."""
        spec = self.specs[group.points[0]]
        count = len(group.points) if self.largest is None else min(len(group.points), self.largest)
        need = need_bytes(spec, build(spec).network)
        memory_bytes = wanted(need, count) + (ALONE_BYTES if group.alone is not None else 0)
        step = 100 << 20
        memory_bytes = min(-(-memory_bytes // step) * step, self.most_bytes or MOST_BYTES)
        return JobNeeds(max(memory_bytes, wanted(need, 1)), spec.trainer.threads)

    # --- listening

    def _read_messages(self) -> list[PointGroup]:
        """Pass on new messages of jobs; return the groups of lost jobs, to be submitted again."""
        for started in self.running.values():
            self._listen(started)
        self.running = {handle: one for handle, one in self.running.items() if one.open}
        for line in self.cluster.waits():
            point = next(iter(self.running.values())).group.points[0] if self.running else 0
            self.hear(WorkerMessage(point, "noted", line=line))
        again = []
        for handle, how in self.cluster.ended(list(self.running)).items():
            started = self.running[handle]
            if started.ended_s is None:
                started.ended_s = time.monotonic()
            elif time.monotonic() - started.ended_s >= GRACE_S:
                del self.running[handle]
                again += self._groups_left(started, how)
        return again

    def _listen(self, started: _Started) -> None:
        """Pass on one message of a job."""
        for message in started.reader.news():
            if message.kind == "ended":
                started.later.add(message.point)
            elif message.kind == "noted" or message.point in started.open:
                started.got_on |= message.kind == "epoch" and message.epochs > 0
                self._pass_on(started, message)
        for point in sorted(started.later):
            record = stored_record(self.specs[point])
            if record is not None:
                started.later.discard(point)
                self._pass_on(started, WorkerMessage(point, "ended", record=record))

    def _pass_on(self, started: _Started, message: WorkerMessage) -> None:
        if message.kind in OVER:
            if message.point not in started.open:
                return
            started.open.discard(message.point)
            started.got_on = True
        self.hear(message)

    def _groups_left(self, started: _Started, how: str) -> list[PointGroup]:
        """Decide what follows from a job that ended before its points.

        Where it made progress, the rest continues from checkpoints as one group. Where it did not, each point gets
        a job of its own, which shows the point that fails.
        """
        self.lost = True
        for point in sorted(started.open):
            record = finished_record(self.specs[point])
            if record is not None:  # the job could not report it, e.g. on a full disk
                self._pass_on(started, WorkerMessage(point, "ended", record=record))
        rest, alone = tuple(sorted(started.open)), started.group.alone
        if not rest:
            return []
        if started.got_on:
            return [PointGroup(rest, alone)]
        if len(started.group.points) > 1:
            return [PointGroup((point,), alone) for point in rest]
        for point in rest:
            line = f"its job {how}; its log is in {self.folder}"
            self.hear(WorkerMessage(point, "refused", line=line))
        return []
