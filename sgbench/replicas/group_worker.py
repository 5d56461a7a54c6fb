"""Training of a group of a sweep's points in one process, from their folders to their records."""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from fastspiking.signals.spikes import Signal
from fastspiking.signals.trajectory import Batch
from sgbench.datasets.base import Split
from sgbench.datasets.batches import SpikingData
from sgbench.errors import SgbenchError, StorageError, one_printable_line
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.replicas.grouping import count_fitting, need_bytes
from sgbench.replicas.lockstep import Lockstep, validate_member, watch_member
from sgbench.replicas.messages import PruningThresholds, Say, Stopped, WorkerMessage
from sgbench.replicas.passes import Stack
from sgbench.replicas.replica import Replica
from sgbench.training import memory
from sgbench.training.provenance import Code
from sgbench.training.run_folder import finished_record, folder_of, locked

KEPT_BYTES = 128 << 20  # most memory of encoded batches that are cached between evaluations


class SharedBatches:
    """Provides the batches of many replicas, each encoded once for all replicas of a seed."""

    def __init__(self, members: Sequence[Replica]) -> None:
        self.data = {member.spec.seed: member.parts.data for member in members}
        self.cached: dict[tuple[int, Split], list[Batch]] = {}
        self.left_bytes = KEPT_BYTES  # memory that may still be used

    def epoch(self, members: Sequence[Replica]) -> Iterator[dict[tuple[int, int], Batch]]:
        """Yield the members' next training batches, by seed and number of the epoch."""
        keys = sorted({(member.spec.seed, member.training.epoch) for member in members})
        streams = [self.data[seed].epoch(epoch) for seed, epoch in keys]
        for batches in zip(*streams, strict=True):
            yield dict(zip(keys, batches, strict=True))

    def evaluation(self, data: SpikingData, split: Split) -> Iterator[Batch]:
        """Yield the batches of a split, which are the same for all runs of a seed and in every epoch.

        They are cached on the first pass, unless that would take more than `KEPT_BYTES` together with others.
        """
        seed = data.seed
        if (seed, split) in self.cached:
            _ = data.splits[split]  # checks that this run may open it, and notes the use
            yield from self.cached[seed, split]
            return
        batches: list[Batch] | None = []  # None: too large to be cached
        for batch in data.evaluation(split):
            yield batch
            if batches is not None:
                self.left_bytes -= size_bytes(batch.x)
                batches.append(batch)
                if self.left_bytes < 0:
                    self.left_bytes += sum(size_bytes(batch.x) for batch in batches)
                    batches = None
        if batches is not None:
            self.cached[seed, split] = batches


def size_bytes(x: Signal) -> int:
    """Return the memory of a batch's input, dense or packed [bytes].

    >>> import torch
    >>> size_bytes(torch.zeros(2, 3))
    24
    """
    if isinstance(x, Tensor):
        return x.nbytes
    return x.index.nbytes + x.indptr.nbytes + (0 if x.value is None else x.value.nbytes)


log = logging.getLogger("sgbench")
CHECKPOINT_S = 5.0  # between two checkpoints of a group; the most, besides an epoch, that a kill can cost


class GroupWorker:
    """Trains several runs (replicas) at once, batch by batch, until each has its record.

    `points`: (index in the sweep, spec) of each run. `say`: called with a message after every epoch and at every end.
    `stop`: called before every batch; true stops the training. `largest`: most runs at a time; None: as many as fit.
    `memory_bytes`: memory of this process; None: not known. `thresholds`: maps an index in the sweep to the validation
    scores, by epoch, below which the run is stopped.
    """

    def __init__(
        self,
        points: Sequence[tuple[int, RunSpec]],
        say: Say,
        stop: Callable[[], bool],
        *,
        largest: int | None = None,
        memory_bytes: int | None = None,
        thresholds: Mapping[int, PruningThresholds] | None = None,
    ) -> None:
        self.waiting = deque(points)
        self.say, self.stop = say, stop
        self.largest, self.memory_bytes = largest, memory_bytes
        self.thresholds = thresholds or {}
        self.code = Code.here()
        self.data: SpikingData | None = None
        self.saved_s = time.perf_counter()
        self.noted: set[str] = set()  # reported reasons why runs are not stacked
        self.ended: set[int] = set()  # indices of points that have their record
        # For each member: its stack's snapshot, its row there, and the state of its training.
        self.snapshots: list[tuple[Replica, dict[str, torch.Tensor], int, dict[str, Any]]] = []

    def run(self) -> None:
        """Train all points, as many at a time as fit; raise `Stopped` after a stop, when all is saved."""
        torch.set_num_threads(1)
        memory.keep_freed_memory()
        while self.waiting:
            with contextlib.ExitStack() as folder_locks:
                self._train(self._start_members(folder_locks))

    def _train(self, members: Sequence[Replica]) -> None:
        """Train members together, epoch by epoch, until each has its record."""
        locksteps = [Lockstep(equal) for equal in _group_by_shape(members)]
        for lockstep in locksteps:
            self._report_unstacked(lockstep)
        shared = SharedBatches(members)
        while locksteps:
            continued = [self._finish_ended(lockstep, shared) for lockstep in locksteps]
            locksteps = [lockstep for lockstep in continued if lockstep is not None]
            self._take_snapshots(locksteps)
            if time.perf_counter() - self.saved_s > CHECKPOINT_S:
                self._save()
            try:
                locksteps = self._epoch(locksteps, shared)
            except Stopped:
                self._save()
                raise

    def _report_unstacked(self, lockstep: Lockstep) -> None:
        """Send a line on why members pass over their batches one by one, each reason once."""
        reason = lockstep.one_by_one
        if reason is not None and reason not in self.noted:
            self.noted.add(reason)
            line = f"{len(lockstep.members)} runs side by side pass over their batches one by one: {reason}"
            self.say(WorkerMessage(lockstep.members[0].point, "noted", line=line))

    def _start_members(self, folder_locks: contextlib.ExitStack) -> list[Replica]:
        """Start the next points, as many as fit into memory, and add the locks of their folders to `folder_locks`."""
        members: list[Replica] = []
        limit = self.largest
        while self.waiting and (limit is None or len(members) < limit):
            point, spec = self.waiting.popleft()
            try:
                folder_locks.enter_context(locked(folder_of(spec)))
                record = finished_record(spec)  # another process may have finished it in the meantime
                if record is not None:
                    self.say(WorkerMessage(point, "ended", record=record))
                    continue
                members.append(Replica(point, spec, self.data, self.code))
            except SgbenchError as error:
                self.say(WorkerMessage(point, "refused", line=one_printable_line(error), exit_code=error.exit_code))
                continue
            self.data = members[-1].parts.data
            self.say(_progress_message(members[-1], "began"))
            if limit is None:  # known only now, from the first network
                limit = count_fitting(need_bytes(members[0].spec, members[0].parts.network), self.memory_bytes)
        return members

    def _finish_ended(self, lockstep: Lockstep, shared: SharedBatches) -> Lockstep | None:
        """Make the records of members that have done all epochs; return the lockstep of the others, None if none."""
        ended_rows = set()
        for row, member in enumerate(lockstep.members):
            if member.training.ended:
                ended_rows.add(row)
                self._end(member, lambda member=member: member.finish(shared.evaluation))
        return lockstep.without(ended_rows) if ended_rows else lockstep

    def _end(self, member: Replica, make_record: Callable[[], RunRecord]) -> None:
        """Make and send a member's record; an error makes it that of a failed run, one of sgbench's own is refused."""
        self.ended.add(member.point)
        try:
            try:
                record = make_record()
            except SgbenchError:
                raise
            except Exception as error:
                record = member.fail(error)
            self.say(WorkerMessage(member.point, "ended", record=record))
        except SgbenchError as error:
            line = one_printable_line(error)
            self.say(WorkerMessage(member.point, "refused", line=line, exit_code=error.exit_code))

    def _epoch(self, locksteps: list[Lockstep], shared: SharedBatches) -> list[Lockstep]:
        """Train and validate all members for one epoch; return the locksteps without members that failed or stopped."""
        for lockstep in locksteps:
            for member in lockstep.members:
                member.training.begin_epoch(len(member.training.curve))
        all_members = [member for lockstep in locksteps for member in lockstep.members]
        for batches in shared.epoch(all_members):
            if self.stop():
                raise Stopped
            continued = []
            for lockstep in locksteps:
                own_batches = [batches[member.spec.seed, member.training.epoch] for member in lockstep.members]
                failures = lockstep.train_batch(own_batches)
                continued.append(self._remove(lockstep, failures))
            # In place, so that the caller's list does not keep the memory of a lockstep that was replaced.
            locksteps[:] = [lockstep for lockstep in continued if lockstep is not None]
            if not locksteps:
                return []
        return self._validate(locksteps, shared)

    def _validate(self, locksteps: list[Lockstep], shared: SharedBatches) -> list[Lockstep]:
        """Score all members after an epoch; return the locksteps without members that failed or are stopped early."""
        continued = []
        for lockstep in locksteps:
            failures = lockstep.check_optimizer()
            stopped: set[int] = set()
            for row, member in enumerate(lockstep.members):
                if row in failures:
                    continue
                error = validate_member(member, shared.evaluation(member.parts.data, "validation"), self.stop)
                error = error or watch_member(member, shared.evaluation, self.stop)
                if error is not None:
                    failures[row] = error
                    continue
                member.log_epoch()
                self.say(_progress_message(member, "epoch"))
                if member.is_below(self.thresholds.get(member.point, ())):
                    stopped.add(row)
            for row in stopped:
                self._prune(lockstep.members[row])
            continued.append(self._remove(lockstep, failures, stopped))
        return [lockstep for lockstep in continued if lockstep is not None]

    def _prune(self, member: Replica) -> None:
        """Store and send that a member is stopped early."""
        self.ended.add(member.point)
        member.prune()
        done, planned = len(member.training.curve), member.spec.method.protocol.epochs
        self.say(WorkerMessage(member.point, "pruned", line=f"stopped after {done} of {planned} epochs"))

    def _remove(
        self, lockstep: Lockstep, failures: dict[int, Exception], stopped: Iterable[int] = ()
    ) -> Lockstep | None:
        """Store the records of members that failed; return the lockstep of the members that go on, None if none."""
        for row, error in failures.items():
            member = lockstep.members[row]
            self._end(member, lambda member=member, error=error: member.fail(error))
        ended_rows = {*failures, *stopped}
        return lockstep.without(ended_rows) if ended_rows else lockstep

    def _take_snapshots(self, locksteps: Sequence[Lockstep]) -> None:
        """Copy weights and states between two epochs; a stop within an epoch saves these."""
        self.snapshots = []
        for lockstep in locksteps:
            snapshot = lockstep.stack.snapshot()
            for row, member in enumerate(lockstep.members):
                self.snapshots.append((member, snapshot, row, member.training.state_dict()))

    def _save(self) -> None:
        """Write the checkpoints of all members that have not ended, from the last snapshot of whole epochs."""
        self.saved_s = time.perf_counter()
        for member, snapshot, row, state in self.snapshots:
            if member.point not in self.ended:
                try:
                    member.save(Stack.row_of(snapshot, row), state)
                except StorageError as error:  # the earlier checkpoint stays, and the run may still finish
                    log.warning("%s", one_printable_line(error))


def _progress_message(member: Replica, kind: Literal["began", "epoch"]) -> WorkerMessage:
    """Make the message on a running member: its epochs so far, and the scores of the best of them."""
    training = member.training
    selected = next((line for line in training.curve if line.epoch == training.best.epoch), None)
    return WorkerMessage(member.point, kind, epochs=len(training.curve), selected=selected)


def _group_by_shape(members: Sequence[Replica]) -> list[list[Replica]]:
    """Group members whose optimisers are of one class and whose parameters have equal shapes."""
    by_kind: dict[tuple[object, ...], list[Replica]] = {}
    for member in members:
        shapes = tuple(tuple(parameter.shape) for parameter in member.parts.network.parameters())
        by_kind.setdefault((type(member.parts.optimizer), shapes), []).append(member)
    return list(by_kind.values())
