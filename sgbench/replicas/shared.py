"""What replicas of one group have in common: every batch is made once for all that see it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from sgbench.datasets.base import Split
from sgbench.datasets.batches import SpikingData
from sgbench.replicas.replica import Replica
from sgbench.signals.spikes import Signal
from sgbench.signals.trajectory import Batch

KEPT_BYTES = 128 << 20  # of encoded batches that are kept from one evaluation to the next


class Shared:
    """Makes batches of many replicas, each once.

    Args:
        members: all replicas of the group; their data differ in the seed alone.
    """

    def __init__(self, members: Sequence[Replica]) -> None:
        self.data = {member.spec.seed: member.parts.data for member in members}
        self.kept: dict[tuple[int, Split], list[Batch]] = {}
        self.left_bytes = KEPT_BYTES

    def epoch(self, members: Sequence[Replica]) -> Iterator[dict[tuple[int, int], Batch]]:
        """Yield training batches in step, by seed and epoch."""
        keys = sorted({(member.spec.seed, member.training.epoch) for member in members})
        streams = [self.data[seed].epoch(epoch) for seed, epoch in keys]
        for batches in zip(*streams, strict=True):
            yield dict(zip(keys, batches, strict=True))

    def evaluation(self, data: SpikingData, split: Split) -> Iterator[Batch]:
        """Return the batches of a split, which are the same for all of a seed and in every epoch.

        Args:
            data: of the run that asks; the test split is its own to open.
            split: which.
        """
        seed = data.seed
        if (seed, split) in self.kept:
            _ = data.splits[split]  # open or closed, and told, for this run too
            yield from self.kept[seed, split]
            return
        batches: list[Batch] | None = []
        for batch in data.evaluation(split):
            yield batch
            if batches is not None:
                self.left_bytes -= size_bytes(batch.x)
                batches.append(batch)
                if self.left_bytes < 0:
                    self.left_bytes += sum(size_bytes(batch.x) for batch in batches)
                    batches = None
        if batches is not None:
            self.kept[seed, split] = batches


def size_bytes(x: Signal) -> int:
    """Compute the memory of an input in bytes.

    >>> import torch
    >>> size_bytes(torch.zeros(2, 3))
    24
    """
    parts = [x] if isinstance(x, Tensor) else [x.index, x.indptr, *([] if x.value is None else [x.value])]
    return sum(part.nbytes for part in parts)
