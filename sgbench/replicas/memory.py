"""Estimates of the memory of replicas, and of how many fit into memory."""

import math

from sgbench.networks.base import Network
from sgbench.records.spec import RunSpec

SHARE = 0.7  # share of a worker's memory that is used for replicas; the rest is for what is not estimated
COPIES = 11
"""Copies of all weights: themselves, gradients, two states of the optimiser, three in the last epoch's snapshot,
three while a checkpoint is written, the best ones."""
FIXED_BYTES = 400 << 20  # memory of one process for libraries, data set and batches


def need_bytes(spec: RunSpec, network: Network) -> int:
    r"""Estimate the memory of one replica [bytes]: copies of its weights, and one batch over time.

    .. math:: 11 P + T B \sum_l M_l

    numbers, with P weights, M_l neurons in layer l, T steps and B samples of a batch.
    """
    protocol = spec.method.protocol
    weights = list(network.parameters())
    count = sum(weight.numel() for weight in weights)
    neurons = sum(int(layer.weight.shape[0]) for layer in network.layers)  # type: ignore[union-attr, index]
    numbers = COPIES * count + protocol.steps * protocol.batch_size * neurons
    return numbers * weights[0].element_size()


def count_fitting(need: int, memory_bytes: int | None) -> int | None:
    """Return how many replicas of `need` bytes fit into a process's memory, at least 1; None if that is unknown.

    >>> count_fitting(1 << 20, (400 + 100) << 20), count_fitting(1 << 40, 1 << 30), count_fitting(1, None)
    (70, 1, None)
    """
    if memory_bytes is None:
        return None
    return max(1, int(SHARE * max(0, memory_bytes - FIXED_BYTES) / need))


def memory_for(need: int, count: int) -> int:
    """Return the memory of a process in which `count` replicas of `need` bytes fit [bytes].

    >>> count_fitting(1 << 20, memory_for(1 << 20, 70))
    70
    """
    return FIXED_BYTES + math.ceil(need * count / SHARE)
