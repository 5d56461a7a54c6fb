"""Encoding of batches ahead of their use, in a process of their own, and in pinned memory for a CUDA device."""

from collections.abc import Iterable, Iterator

import torch
from torch.utils.data import DataLoader, IterableDataset

from fastspiking.signals.trajectory import Batch
from sgbench.datasets.batches import Batches


def encoded_ahead(batches: Batches, count: int, device: torch.device) -> Iterable[Batch]:
    """Return the batches of a pass, the same to the bit, encoded while earlier ones are in use.

    One worker process encodes all of them in order, so that the encoder's random numbers are the same. For a CUDA
    device they are copied to pinned memory, from which the device fetches them while it computes.

    `batches`: one pass over a split. `count`: how many are encoded ahead; 0 encodes each in this process when it is
    needed.
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


def on_device(batch: Batch, device: torch.device) -> Batch:
    """Copy a batch to a device; from pinned memory that goes on while the device computes."""
    x, *rest = batch
    return Batch(x.to(device, non_blocking=True), *(part.to(device, non_blocking=True) for part in rest))


class _Pass(IterableDataset[Batch]):
    """Adapts the batches of a pass to torch's `DataLoader`."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)
