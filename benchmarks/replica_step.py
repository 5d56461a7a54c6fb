"""What a replica's training step takes beyond the bare engine, in one process."""

import contextlib
import copy
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from benchmarks.measure import interleave, limited
from fastspiking.signals.trajectory import Batch
from sgbench.records.spec import RunSpec
from sgbench.replicas.lockstep import Lockstep
from sgbench.replicas.passes import Stack
from sgbench.replicas.replica import Replica
from sgbench.training.build import Parts, build
from sgbench.training.memory import keep_freed_memory
from sgbench.training.provenance import Code

BATCHES = 10  # of one timed round
BARE, REPLICAS = "bare engine and optimiser", "replicas"


def overhead(specs: Sequence[RunSpec], rounds: int) -> dict[str, Any]:
    """CPU time of a step of one replica [ms], alone on the bare engine and among others."""
    with limited(1), _lockstep(specs) as lockstep:
        keep_freed_memory()
        alone = [build(spec) for spec in specs]
        beginning = [copy.deepcopy((parts.network.state_dict(), parts.optimizer.state_dict())) for parts in alone]
        first = lockstep.stack.snapshot()
        streams = [itertools.islice(member.parts.data.epoch(0), BATCHES) for member in lockstep.members]
        batches = list(zip(*streams, strict=True))
        steps = {
            BARE: lambda: [
                _bare(parts, own) for batch_row in batches for parts, own in zip(alone, batch_row, strict=True)
            ],
            REPLICAS: lambda: _together(lockstep, batches),
        }
        resets = {BARE: lambda: _reset_alone(alone, beginning), REPLICAS: lambda: _reset(lockstep, first)}
        times = interleave(steps, rounds, resets=resets)
    count = BATCHES * len(specs)
    rounds_ms = {name: [total_ms / count for total_ms in own.cpu_ms] for name, own in times.items()}
    step_ms = {name: min(each_ms) for name, each_ms in rounds_ms.items()}
    return {"step_ms": step_ms, "overhead_ms": step_ms[REPLICAS] - step_ms[BARE], "rounds": rounds_ms}


@contextlib.contextmanager
def _lockstep(specs: Sequence[RunSpec]) -> Iterator[Lockstep]:
    with tempfile.TemporaryDirectory() as folder:
        code, members = Code.here(), []
        for place, spec in enumerate(specs):
            paths = spec.paths.model_copy(update={"runs_dir": folder})
            own = spec.model_copy(update={"paths": paths})
            members.append(Replica(place, own, members[0].parts.data if members else None, code))
        yield Lockstep(members)


def _bare(parts: Parts, batch: Batch) -> None:
    parts.optimizer.zero_grad()
    trajectory = parts.network.unroll(batch.x, batch.lengths)
    parts.objective.whole(trajectory, batch.target).backward()
    parts.optimizer.step()


def _reset_alone(alone: Sequence[Parts], beginning: Sequence[tuple[Any, Any]]) -> None:
    for parts, (weights, moved) in zip(alone, beginning, strict=True):
        parts.network.load_state_dict(weights)
        parts.optimizer.load_state_dict(copy.deepcopy(moved))


def _reset(lockstep: Lockstep, first: dict[str, Tensor]) -> None:
    for row in range(len(lockstep.members)):
        lockstep.stack.load_row(row, Stack.row_of(first, row))


def _together(lockstep: Lockstep, batches: Sequence[Sequence[Batch]]) -> None:
    for batch_row in batches:
        if lockstep.train_batch(batch_row):
            raise RuntimeError("a replica failed")
