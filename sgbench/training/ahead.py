"""Batches encoded ahead of their use by a process of their own, and in pinned memory where a card takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch.utils.data import DataLoader, IterableDataset

from sgbench.datasets.batches import Batches
from sgbench.signals.trajectory import Batch


def encoded_ahead(batches: Batches, count: int, device: torch.device) -> Iterable[Batch]:
    """Return the batches of a pass, the same to the bit, made while the ones before are trained on.

    One worker makes all of them in order, so that what an encoder draws does not depend on it. For a card copies
    lie in pinned memory, from which they are fetched while it computes.

    Args:
        batches: of one pass over a split.
        count: how many are made ahead; 0 makes each in this process when it is asked for.
        device: that they go to.
    """
    pinned = device.type == "cuda"
    if not count and not pinned:
        return batches
    return DataLoader(
        _Pass(batches),
        batch_size=None,  # they are batches already
        num_workers=1 if count else 0,
        prefetch_factor=count or None,
        multiprocessing_context="fork" if count else None,  # the samples are shared, not sent
        pin_memory=pinned,
        generator=torch.Generator(),  # of the worker's seed; the process's own stays where it is
    )


class _Pass(IterableDataset[Batch]):
    """Adapts the batches of a pass to torch's loader."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)
