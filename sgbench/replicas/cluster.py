"""Groups of a sweep's points as jobs of a cluster: submitted, followed by progress files, resubmitted if lost."""

import contextlib
import logging
import math
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from sgbench.errors import InputError, one_printable_line
from sgbench.records.spec import RunSpec
from sgbench.replicas.grouping import PointGroup, memory_for, need_bytes
from sgbench.replicas.jobs import OVER, STOP, GroupJob, ProgressReader
from sgbench.replicas.messages import PruningThresholds, WorkerMessage
from sgbench.training.build import build
from sgbench.training.provenance import Code
from sgbench.training.run_folder import finished_record, stored_record

JOBS = ".jobs"
"""Folder, in the folder of runs, with the jobs of sweeps on clusters."""
SAVING = "sgbench-saving"
"""Name of the thread that stops jobs."""
TICK_S = 0.5  # between two reads of the progress files
GRACE_S = 3.0  # longest time in which a file written on one machine appears on another
MOST_BYTES = 8 << 30  # most memory of a job, if the user sets none
ALONE_BYTES = 1 << 30  # memory of a single run beyond that of a replica
STEP_BYTES = 100 << 20  # requested memory is a multiple of it


@dataclass(frozen=True)
class JobNeeds:
    """Holds the resources that a job requests from a cluster."""

    memory_bytes: int
    threads: int


class Cluster(Protocol):
    """Defines how jobs are started, observed and stopped on a cluster."""

    @property
    def job_type(self) -> type[GroupJob]:
        """Return the class of the cluster's jobs."""
        ...

    def start(self, jobs: Sequence[GroupJob], needs: JobNeeds) -> Sequence[str]:
        """Submit jobs of equal needs; return a handle of each."""
        ...

    def ended(self, handles: Sequence[str]) -> Mapping[str, str]:
        """Return, for the handles of jobs that have ended in any way, how: a text that continues "its job ..."."""
        ...

    def waits(self) -> Sequence[str]:
        """Return new lines on why jobs have not begun."""
        ...

    def cancel(self, handles: Sequence[str]) -> None:
        """Stop jobs that have been requested to save, and wait until they have ended."""

    def close(self) -> None:
        """Close the connection to the cluster."""


@dataclass
class _StartedJob:
    """Holds a submitted job and the state of its points."""

    job: GroupJob
    group: PointGroup
    reader: ProgressReader
    open: set[int]  # points that have not ended
    made_progress: bool = False  # since it was submitted
    ended_s: float | None = None  # when the cluster first reported its end
    awaited: set[int] = field(default_factory=set)  # points that ended, and whose record is not visible yet


class ClusterPool:
    """Runs groups of points as jobs of a cluster, and passes on their messages.

    `specs`: all points of the sweep. `cluster`: cluster that runs the jobs. `root`: folder of the runs. `largest`: most
    replicas at a time in one job; None: as many as fit. `most_bytes`: most memory of a job; None: what its replicas
    need, up to 8 GiB. `hear`: called with a message after each epoch and at each end. `tick`: called about twice a
    second. `thresholds`: maps points that may be stopped early to their pruning thresholds.
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
        self.specs, self.cluster = specs, cluster
        self.folder = root.absolute() / JOBS / secrets.token_hex(4)
        self.largest, self.most_bytes = largest, most_bytes
        self.hear, self.tick = hear, tick
        self.thresholds = thresholds or {}
        self.made_by = Code.here().made_by({})
        self.running: dict[str, _StartedJob] = {}  # by handle
        self.readers: list[ProgressReader] = []  # of all jobs submitted
        self.count = 0  # number of jobs submitted
        self.lost = False  # whether a job ended before its points, so that its log is needed

    def run(self, groups: Sequence[PointGroup]) -> None:
        """Run all groups as jobs, and resubmit the groups of lost jobs, until all points have ended.

        On an interrupt, all jobs are stopped after they have saved their state. The folder of the jobs, with their
        logs, is removed if none was submitted, or if all points ended and no job was lost.
        """
        self.folder.mkdir(parents=True)
        all_ended = False
        try:
            self._start(groups)
            while self.running:
                time.sleep(TICK_S)
                lost_groups = self._read_messages()
                self._start(lost_groups)
                self.tick()
            all_ended = True
            cpu_s = sum(reader.cpu_s for reader in self.readers)
            line = f"{self.count} jobs took {cpu_s:.1f} s of processor time"
            self.hear(WorkerMessage(groups[0].points[0], "noted", line=line))
        finally:
            if self.running:
                (self.folder / STOP).touch()
                # Stop all running jobs after they have saved, in a thread, which an interrupted command waits for.
                saving = threading.Thread(target=self.cluster.cancel, args=(list(self.running),), name=SAVING)
                saving.start()
                saving.join()
            self.cluster.close()
            if not self.readers or (all_ended and not self.lost):
                shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, groups: Sequence[PointGroup]) -> None:
        """Submit a job for each group; jobs of equal needs are submitted together."""
        by_needs: dict[JobNeeds, list[PointGroup]] = {}
        for group in groups:
            by_needs.setdefault(self.needs(group), []).append(group)
        for needs, members in by_needs.items():
            jobs = [self._job(group, needs) for group in members]
            handles = self.cluster.start(jobs, needs)
            for handle, job, group in zip(handles, jobs, members, strict=True):
                reader = ProgressReader(job.progress, group.points[0])
                self.readers.append(reader)
                self.running[handle] = _StartedJob(job, group, reader, set(group.points))

    def _job(self, group: PointGroup, needs: JobNeeds) -> GroupJob:
        """Make the job of a group, of the cluster's own class."""
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
        """Return the resources of a group's job: memory for all its replicas, or the most allowed.

        Memory is rounded up to 100 MiB, so that jobs of similar size can be submitted together. It always suffices
        for one replica.
        """
        spec = self.specs[group.points[0]]
        count = len(group.points) if self.largest is None else min(len(group.points), self.largest)
        need = need_bytes(spec, build(spec).network)
        memory_bytes = memory_for(need, count) + (ALONE_BYTES if group.alone is not None else 0)
        rounded_bytes = math.ceil(memory_bytes / STEP_BYTES) * STEP_BYTES
        allowed_bytes = min(rounded_bytes, self.most_bytes or MOST_BYTES)
        return JobNeeds(max(allowed_bytes, memory_for(need, 1)), spec.trainer.threads)

    def _read_messages(self) -> list[PointGroup]:
        """Pass on new messages of all jobs; return the groups to submit in place of lost jobs."""
        for started in self.running.values():
            self._listen(started)
        self.running = {handle: started for handle, started in self.running.items() if started.open}
        for line in self.cluster.waits():  # of no point in particular, so that any may bear them
            point = next((started.group.points[0] for started in self.running.values()), 0)
            self.hear(WorkerMessage(point, "noted", line=line))
        groups = []
        for handle, how in self.cluster.ended(list(self.running)).items():
            started = self.running[handle]
            if started.ended_s is None:
                started.ended_s = time.monotonic()
            elif time.monotonic() - started.ended_s >= GRACE_S:  # its last message would be visible by now
                del self.running[handle]
                groups += self._groups_to_resubmit(started, how)
        return groups

    def _listen(self, started: _StartedJob) -> None:
        """Pass on new messages of a job; the end of a point only once its record is visible here."""
        for message in started.reader.news():
            if message.kind == "ended":
                started.awaited.add(message.point)
            elif message.kind == "noted" or message.point in started.open:
                started.made_progress |= message.kind == "epoch" and message.epochs > 0
                self._pass_on(started, message)
        for point in sorted(started.awaited):
            record = stored_record(self.specs[point])
            if record is not None:
                started.awaited.discard(point)
                self._pass_on(started, WorkerMessage(point, "ended", record=record))

    def _pass_on(self, started: _StartedJob, message: WorkerMessage) -> None:
        """Send a message on, the last one of a point only once."""
        if message.kind in OVER:
            if message.point not in started.open:
                return
            started.open.discard(message.point)
            started.made_progress = True
        self.hear(message)

    def _groups_to_resubmit(self, started: _StartedJob, how: str) -> list[PointGroup]:
        """Return the groups to submit in place of a job that ended before its points; `how` describes its end.

        If it made progress, its open points continue from checkpoints as one group. If not, each point gets a job
        of its own, to find the one that fails; a job of one point is reported as refused.
        """
        self.lost = True
        for point in sorted(started.open):
            record = finished_record(self.specs[point])
            if record is not None:  # the job could not report it, e.g. on a full disk
                self._pass_on(started, WorkerMessage(point, "ended", record=record))
        open_points, alone = tuple(sorted(started.open)), started.group.alone
        if not open_points:
            return []
        if started.made_progress:
            return [PointGroup(open_points, alone)]
        if len(started.group.points) > 1:
            return [PointGroup((point,), alone) for point in open_points]
        for point in open_points:
            line = f"its job {how}; its log is in {self.folder}"
            self.hear(WorkerMessage(point, "refused", line=line))
        return []


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
        settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address is None:  # a cluster that is started here
            settings |= {"num_cpus": workers, "object_store_memory": STORE_BYTES, "include_dashboard": False}
        if self.is_ours:
            try:
                ray.init(address=address or "local", **settings)
            except Exception as error:
                where = "" if address is None else f" address={address}"
                raise InputError(f"hydra.launcher.on=ray{where}: {one_printable_line(error)}") from error
        self.tasks: dict[str, Any] = {}

    def start(self, jobs: Sequence[GroupJob], needs: JobNeeds) -> Sequence[str]:
        """Start a task for each job, with at most the memory of the largest node; return their ids."""
        largest = max((node["Resources"].get("memory", 0) for node in self.ray.nodes()), default=0)
        memory_bytes = min(needs.memory_bytes, int(largest))
        remote_call = self.ray.remote(num_cpus=needs.threads, memory=memory_bytes, max_retries=0)(_call)
        tasks = [remote_call.remote(job) for job in jobs]
        handles = [task.hex() for task in tasks]
        self.tasks |= dict(zip(handles, tasks, strict=True))
        return handles

    def ended(self, handles: Sequence[str]) -> Mapping[str, str]:
        """Return how tasks have ended, for those of `handles` that have."""
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
        _, unfinished = self.ray.wait(tasks, num_returns=len(tasks), timeout=WAIT_S)
        for task in unfinished:
            with contextlib.suppress(Exception):
                self.ray.cancel(task, force=True)

    def close(self) -> None:
        if self.is_ours:
            self.ray.shutdown()


def _call(job: GroupJob) -> None:
    job()
