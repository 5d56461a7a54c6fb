"""Batches of validation data on which a run is diagnosed during training."""

import itertools

from fastspiking.signals.trajectory import Batch
from sgbench.training.build import Parts

BATCHES = 4
"""Number of validation batches of each diagnosis."""


def some_batches(parts: Parts) -> list[Batch]:
    device = parts.device
    batches = itertools.islice(parts.data.evaluation("validation"), BATCHES)
    return [Batch(batch.x.to(device), *(part.to(device) for part in batch[1:])) for batch in batches]
